"""Lambda's entry points: an event in, one call, a result out.

While they import, the collector rests: it would go through boto3's models again and again for garbage that is not
there, an eighth of a cold start. `handlers.wiring.ready` wakes it up, and spares what was loaded for good.
"""

import gc

gc.disable()
