//! Reproducible pseudorandom numbers.

/// `SplitMix64`: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators".
pub struct Rng(u64);

const LETTERS: &[u8] = b"0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

impl Rng {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number from `low` to `high`, inclusive.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.word() % (high - low + 1)
    }

    /// Like [`between`](Self::between), for milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> i64 {
        i64::try_from(self.between(low, high)).unwrap()
    }

    /// Below `length`, which is not 0.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.word() % u64::try_from(length).unwrap()).unwrap()
    }

    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.word() % 1_000 < per_mille
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.index(from.len())]
    }

    /// A skewed distribution: half of the values are below a third of the mean, and none exceeds 18 times the mean.
    pub const fn tailed(&mut self, mean: u64) -> u64 {
        let doublings = self.word().trailing_zeros();
        let scale = 1 << if doublings < 5 { doublings } else { 5 };
        self.between(0, mean * 4 / 7) * scale
    }

    pub fn id(&mut self, prefix: &str, length: usize) -> String {
        let letters = (0..length).map(|_| char::from(LETTERS[self.index(LETTERS.len())]));
        prefix.chars().chain(letters).collect()
    }

    pub fn uuid(&mut self) -> String {
        let bytes = (u128::from(self.word()) << 64 | u128::from(self.word())).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.index(last + 1));
        }
    }
}
