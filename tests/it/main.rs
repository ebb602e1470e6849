//! The binary against the real git: one module per command or walk.
