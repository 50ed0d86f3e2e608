"""Mapping templates, without an API."""

from typing import Any

import pytest

from gateway.websocket.mapping import MappingError, Scope, Template, escape_javascript, url_encode

CONTEXT: dict[str, Any] = {
    "connectionId": "Abc-_=",
    "connectedAt": 1707502303419,
    "identity": {"sourceIp": "192.0.2.1"},
    "authorizer": {"principalId": "me"},
}
BODY = '{"action":"join","list":[1,{"a":"b c"}],"no":false,"null":null,"text":"été \\"q\\""}'


def rendered(text: str, body: str = BODY) -> str:
    return Template(text).render(Scope(CONTEXT, {"flavour": "mild", "a-b": "c"}, body))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain $ text $5 #1 #abc {}", "plain $ text $5 #1 #abc {}"),
        ("$context.connectionId&x", "Abc-_=&x"),
        ("${context.connectionId}x", "Abc-_=x"),
        ("$context.connectedAt.", "1707502303419."),
        ("$context.identity.sourceIp", "192.0.2.1"),
        ("$context.authorizer.principalId", "me"),
        ("$stageVariables.flavour", "mild"),
        ("${stageVariables['a-b']}", "c"),
        # What is undefined stays as written, unless quiet.
        ("$context.nothing $foo ${foo.bar} $!foo $!{context.nothing}.", "$context.nothing $foo ${foo.bar}  ."),
        ("$util.urlEncode($context.nothing)", "$util.urlEncode($context.nothing)"),
        ("$!util.urlEncode($context.nothing)", ""),
        # A backslash keeps a reference from being one.
        ("\\$context.connectionId", "$context.connectionId"),
        ("$input.body", BODY),
        ("$input.json('$')", BODY),
        ("$input.json('$.list[1]')", '{"a":"b c"}'),
        ('$input.json("$.action")', '"join"'),
        ("$input.json('$.missing')", '""'),
        ("$input.path('$.action')", "join"),
        ("$input.path('action')", "join"),
        ("$input.path('$.list[1].a')$input.path('$').list[0]", "b c1"),
        ("$input.path(\"$['no']\")", "false"),
        ("$input.path('$.missing')$input.path('$.null')", "$input.path('$.missing')$input.path('$.null')"),
        ("$util.urlEncode('a b&c=d/~*é')", "a+b%26c%3Dd%2F%7E*%C3%A9"),
        ("$util.urlDecode('a+b%26')", "a b&"),
        ("$util.base64Encode($input.path('$.text'))", "w6l0w6kgInEi"),
        ("$util.base64Decode('w6l0w6kgInEi')", 'été "q"'),
        ("$util.escapeJavaScript($input.path('$.text'))", '\\u00E9t\\u00E9 \\"q\\"'),
        ("$util.urlEncode( $util.base64Encode( $context.connectionId ) )", "QWJjLV89"),
        ('$util.urlEncode("$context.identity.sourceIp & $foo")', "192.0.2.1+%26+%24foo"),
        ("$util.urlEncode('$context.connectionId')", "%24context.connectionId"),
    ],
)
def test_references(text: str, expected: str) -> None:
    assert rendered(text) == expected


@pytest.mark.parametrize("body", ["no json", "", "2probe"])
def test_bodies_that_are_no_json(body: str) -> None:
    assert rendered("$input.body|$input.json('$.a')|$!input.path('$.a')", body) == f'{body}|""|'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#set($x = 1)$x", "1"),
        ("#set($r = $input.path('$'))$r.action", "join"),
        ("#if($input.path('$.no'))a#{else}b#end", "b"),
        ("#if($input.path('$.action') == 'join' && !$context.nothing)a#end", "a"),
        ("#foreach($i in $input.path('$.list'))$i#if($foreach.hasNext),#end#end", '1,{"a":"b c"}'),
        ("#foreach($k in $input.path('$').keySet())$k #end", "action list no null text "),
        ("#foreach($e in $input.path('$.list[1]').entrySet())$e.key=$e.value#end", "a=b c"),
        (
            "$input.path('$.list').size() $input.path('$.list').contains(1) $input.path('$.list').isEmpty()",
            "2 true false",
        ),
        ("$input.path('$.text').replaceAll('q', 'z')", 'été "z"'),
        ("$input.path('$')", BODY),
        ("$util.parseJson('{\"a\":true}').a", "true"),
        ("$input.params('name')$!input.params('none')", "value"),
        ("a ## comment", "a "),
    ],
)
def test_directives_and_methods(text: str, expected: str) -> None:
    scope = Scope(CONTEXT, {}, BODY, parameters={"name": "value"})
    assert Template(text).render(scope) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$util.parseDate('x')", r"\$util.parseDate"),
        ("${input.nothing}", r"\$\{input.nothing"),
        ("${context.stage", "expected"),
        ("#if($context.stage)x", "expected"),
    ],
)
def test_what_is_not_run_is_said_at_once(text: str, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        Template(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$util.base64Decode($input.body)", "base64Decode"),
        ("$util.parseJson('{')", "parseJson"),
        ("$input.path('$..a')", r"path \$..a"),
    ],
)
def test_what_a_function_cannot_take(text: str, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        rendered(text)


def test_every_character_can_be_written() -> None:
    assert url_encode("".join(map(chr, range(33, 127)))).isascii()
    assert escape_javascript("a/'\n\x01é😀") == "a\\/\\'\\n\\u0001\\u00E9\\uD83D\\uDE00"


def test_the_context_as_a_whole() -> None:
    context = {"stage": "live", "identity": {"sourceIp": "192.0.2.1"}, "connectedAt": 1}
    rendered = Template("$context $context.identity.sourceIp").render(Scope(context, {}, ""))
    assert rendered == "{stage=live, identity={sourceIp=192.0.2.1}, connectedAt=1} 192.0.2.1"
