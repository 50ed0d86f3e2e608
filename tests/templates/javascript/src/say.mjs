import { ApiGatewayManagementApiClient, PostToConnectionCommand } from "@aws-sdk/client-apigatewaymanagementapi"
import { DynamoDBClient, ScanCommand } from "@aws-sdk/client-dynamodb"
import { shout } from "rooms"

const dynamodb = new DynamoDBClient({})

export const handler = async (event) => {
  const { domainName, stage } = event.requestContext
  const management = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` })
  const { Items } = await dynamodb.send(new ScanCommand({ TableName: process.env.TABLE, ConsistentRead: true }))
  const Data = shout(JSON.parse(event.body).text)
  const post = ({ id }) =>
    management.send(new PostToConnectionCommand({ ConnectionId: id.S, Data })).catch((error) => {
      if (error.name !== "GoneException") throw error
    })
  await Promise.all(Items.map(post))
  console.log("said to", Items.length)
  return { statusCode: 200 }
}
