from trio_agent import AssistantMessage, ToolMessage, ToolRequest, UserMessage, trim_messages

messages = (
    UserMessage("Tell me everything about Oslo. " * 20),
    AssistantMessage("Oslo is the capital of Norway. " * 20),
    UserMessage("And how is the weather there?"),
    AssistantMessage("", (ToolRequest("c1", "weather", {"city": "Oslo"}),)),
    ToolMessage("c1", "7 degrees"),
)

prepare = trim_messages(200)
for message in prepare(messages):
    print(type(message).__name__, message.content)
