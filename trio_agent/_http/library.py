"""The HTTP library: httpx2, where it is installed, or else httpx, each on its own httpcore.

They have the same API. Type checkers see httpx.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpcore
    import httpx
else:
    try:
        import httpcore2 as httpcore
        import httpx2 as httpx
    except ImportError:
        import httpcore
        import httpx

__all__ = ["httpcore", "httpx"]
