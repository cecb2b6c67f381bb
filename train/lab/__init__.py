"""A lab for the claims of papers: small networks trained on generated data, everything equal but one choice."""
