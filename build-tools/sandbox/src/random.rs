//! Numbers that look random and depend on nothing but the seed.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads every bit of `x` over the whole result (the finaliser of SplitMix64).
pub(crate) const fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One number out of two, in which their order matters.
pub(crate) const fn combine(a: u64, b: u64) -> u64 {
    mix(mix(a) ^ b.wrapping_mul(GOLDEN))
}

/// A number for a text.
pub(crate) fn hash_text(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// An opaque text of `bytes` bytes in URL-safe base64 (RFC 4648, section 5).
pub(crate) fn opaque(seed: u64, bytes: usize) -> String {
    use base64::Engine as _;
    let stream: Vec<u8> = (0u64..)
        .flat_map(|block| combine(seed, block).to_be_bytes())
        .take(bytes)
        .collect();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(stream)
}
