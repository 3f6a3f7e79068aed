"""A whole network on one machine: real chains, real nodes, a demo owner and venue, and what happens to them.

    async with Testnet.start(Options()) as net:
        await Story(net, say).run()

Files: `lifeline`, `processes`, `tools`, `ports` (what runs), `chain`, `deployment`, `feeds` (the chains), `files`
(what nodes read), `nodes`, `network` (the whole), `people` (owner and venue), `story`, `lag`, `outcome`, `table`, `up`.
Nothing here is part of a node.
"""
