"""Search for the deployment that meets the SLO at the lowest cost, or with the most goodput.

`space` lists the deployments, `bounds` omits those that arithmetic rules out, `search` simulates the
others in rounds of growing length, and `answer` holds the result.
"""
