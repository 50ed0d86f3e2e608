"""The AWS that functions call: DynamoDB, SQS and more, in a process of its own."""
