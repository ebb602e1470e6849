//! Private RSA keys, which sign tokens.
//!
//! `rsa` makes them, because `ring` cannot; `ring` signs, in constant time. New keys have 2048 bits: a key signs for a quarter and
//! its tokens live a day, every verifier takes it, and verifying costs half of what 3072 bits cost; who wants those asks for them.

use std::{convert::Infallible, fmt};

use carnet_core::Timestamp;
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use rsa::{
    RsaPrivateKey,
    pkcs8::EncodePrivateKey as _,
    rand_core::{TryCryptoRng, TryRng},
};
use zeroize::Zeroizing;

use crate::key_set::TokenKeyPublic;

/// A private key with its id. Never printed.
pub struct TokenKey {
    pair: KeyPair,
    kid: String,
}

/// How large a new key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBits {
    /// What carnet makes unasked.
    Bits2048,
    /// A third more work for twice the margin.
    Bits3072,
}

/// Why there is no key, or no signature.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The system's random source failed.
    #[error("the system's random source failed")]
    Random,
    /// The key could not be made.
    #[error("make an RSA key: {0}")]
    Make(String),
    /// The bytes are no RSA key of 2048 bits or more in PKCS #8.
    #[error("it is not an RSA private key in PKCS #8: {0}")]
    Malformed(String),
}

impl TokenKey {
    /// Makes a key, and returns its PKCS #8 form for keeping.
    ///
    /// # Errors
    ///
    /// [`TokenKeyError`].
    pub fn generate(bits: KeyBits) -> Result<Zeroizing<Vec<u8>>, TokenKeyError> {
        let n_bits = match bits {
            KeyBits::Bits2048 => 2048,
            KeyBits::Bits3072 => 3072,
        };
        // The source answers or it does not: asked here, it need not be able to fail below.
        getrandom::fill(&mut [0; 1]).map_err(|_| TokenKeyError::Random)?;
        let made = |error: String| TokenKeyError::Make(error);
        let key =
            RsaPrivateKey::new(&mut SystemSource, n_bits).map_err(|it| made(it.to_string()))?;
        let pkcs8 = key.to_pkcs8_der().map_err(|it| made(it.to_string()))?;
        Ok(pkcs8.to_bytes())
    }

    /// Reads a key of its PKCS #8 form.
    ///
    /// # Errors
    ///
    /// [`TokenKeyError::Malformed`].
    pub fn from_pkcs8(der: &[u8]) -> Result<TokenKey, TokenKeyError> {
        let pair =
            KeyPair::from_pkcs8(der).map_err(|it| TokenKeyError::Malformed(it.to_string()))?;
        let kid = public_of(&pair, Timestamp::from_millis(0)).kid;
        Ok(TokenKey { pair, kid })
    }

    /// Returns the key's id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the public half.
    pub fn public(&self, created: Timestamp) -> TokenKeyPublic {
        public_of(&self.pair, created)
    }

    /// Signs bytes: RSASSA-PKCS1-v1_5 with SHA-256, which JOSE calls RS256.
    ///
    /// # Errors
    ///
    /// [`TokenKeyError::Random`]: the random source blinds the key.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, TokenKeyError> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature)
            .map_err(|_| TokenKeyError::Random)?;
        Ok(signature)
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.kid)
    }
}

fn public_of(pair: &KeyPair, created: Timestamp) -> TokenKeyPublic {
    let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
    TokenKeyPublic::new(n, e, created)
}

/// The system's random source, as `rsa` wants one.
struct SystemSource;

impl TryRng for SystemSource {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        getrandom::fill(bytes).expect("because the source answered when the key was begun");
        Ok(())
    }
}

impl TryCryptoRng for SystemSource {}
