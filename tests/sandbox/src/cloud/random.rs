//! Identifiers that look random and are the same in every run, so that a history can be told again.

/// A splitmix64 sequence: small, even and reproducible. Nothing here needs to be hard to guess.
#[derive(Debug)]
pub(super) struct Identifiers(u64);

const UPPERCASE_BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEXADECIMAL: &[u8] = b"0123456789abcdef";

impl Identifiers {
    pub(super) fn starting_from(seed: u64) -> Identifiers {
        Identifiers(seed)
    }

    /// A sequence of its own for one name: the same name gives the same identifiers whatever happened before.
    pub(super) fn named(name: &str) -> Identifiers {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Identifiers(hash)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to and without `size`.
    pub(super) fn below(&mut self, size: usize) -> usize {
        usize::try_from(self.next() % size.max(1) as u64).unwrap_or_default()
    }

    /// One of these characters, of which there must be one.
    pub(super) fn one_of(&mut self, characters: &[char]) -> char {
        characters[self.below(characters.len())]
    }

    fn text(&mut self, length: usize, alphabet: &[u8]) -> String {
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// `AKIA…` for a user's key, `ASIA…` for a session's (FACTS A).
    pub(super) fn access_key_id(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.text(16, UPPERCASE_BASE32))
    }

    /// 40 characters of the base64 alphabet, never a colon (FACTS A).
    pub(super) fn secret_access_key(&mut self) -> String {
        self.text(40, BASE64)
    }

    /// A session token: longer than any key, and opaque.
    pub(super) fn session_token(&mut self) -> String {
        self.text(120, BASE64)
    }

    /// The six characters that Secrets Manager puts behind a secret's name in its ARN.
    pub(super) fn secret_suffix(&mut self) -> String {
        self.text(6, ALPHANUMERIC)
    }

    /// Hexadecimal digits, as in volume ids.
    pub(super) fn hexadecimal(&mut self, length: usize) -> String {
        self.text(length, HEXADECIMAL)
    }

    /// A version-4 UUID in form.
    pub(super) fn uuid(&mut self) -> String {
        let digits = self.hexadecimal(30);
        format!("{}-{}-4{}-a{}-{}", &digits[..8], &digits[8..12], &digits[12..15], &digits[15..18], &digits[18..30])
    }
}
