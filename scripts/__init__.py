"""Thin scripts: the toolchain, deployment, the demo, benches and checks."""
