"""The Helm chart: what it renders, what its roles allow, and what an installation lives through."""
