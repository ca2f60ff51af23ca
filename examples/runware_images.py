"""Runware's Python SDK (`pip install runware`) through a gateway: only the URL is its own.

Start one with `fairflow serve`, which simulates, and run this.
"""

import asyncio

from runware import IImageInference, Runware


async def main():
    client = Runware(api_key="any", url="ws://127.0.0.1:8080/v1")
    await client.connect()
    images = await client.imageInference(
        requestImage=IImageInference(model="sim-image", positivePrompt="a red fox at dawn", width=512, height=512)
    )
    for image in images:
        print(image.imageURL)
    await client.disconnect()


asyncio.run(main())
