"""bouncekit: why did it bounce, whose fault is it, and which addresses must come off the list?"""

from bouncekit.classify import classify
from bouncekit.explain import explain

__all__ = ["classify", "explain"]
