import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb"

const client = new DynamoDBClient({})

export const handler = async (event) => {
  const Item = { id: { S: event.requestContext.connectionId } }
  await client.send(new PutItemCommand({ TableName: process.env.TABLE, Item }))
  return { statusCode: 200 }
}
