// Echoes by its return value; a message that names connections is posted to all of them.
const clients = new Map();

async function management(endpoint) {
  if (!clients.has(endpoint)) {
    const { ApiGatewayManagementApiClient, PostToConnectionCommand } = await import("@aws-sdk/client-apigatewaymanagementapi");
    const credentials = { accessKeyId: "local", secretAccessKey: "local" };
    const client = new ApiGatewayManagementApiClient({ endpoint, region: "us-east-1", credentials });
    clients.set(endpoint, (name, data) => client.send(new PostToConnectionCommand({ ConnectionId: name, Data: data })));
  }
  return clients.get(endpoint);
}

export async function handler(event) {
  const body = event.body ?? "";
  if (body.startsWith("{")) {
    const message = JSON.parse(body);
    const post = await management(message.endpoint);
    await Promise.all(message.connections.map((name) => post(name, body.slice(0, 64))));
    return { statusCode: 200 };
  }
  return { statusCode: 200, body: body === "who" ? event.requestContext.connectionId : body };
}
