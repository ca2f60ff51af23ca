"""OpenAI's Python SDK (`pip install openai`) through a gateway: only the URL is its own.

Start one with `fairflow serve`, which simulates, and run this.
"""

from openai import OpenAI

client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="any")
stream = client.chat.completions.create(
    model="sim-text",
    messages=[{"role": "user", "content": "Tell me of foxes."}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
