"""What runs functions: processes of their own behind the Lambda Runtime API, or somebody else's."""
