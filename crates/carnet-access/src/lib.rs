//! Service accounts: tokens, keys, scopes, rotation, secrets from Vault.
#![warn(missing_docs)]
