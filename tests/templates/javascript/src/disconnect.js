const { DynamoDBClient, DeleteItemCommand } = require("@aws-sdk/client-dynamodb")

const client = new DynamoDBClient({})

exports.handler = (event, context, callback) => {
  const Key = { id: { S: event.requestContext.connectionId } }
  client.send(new DeleteItemCommand({ TableName: process.env.TABLE, Key })).then(
    () => callback(null, { statusCode: 200 }),
    callback,
  )
}
