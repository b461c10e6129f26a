//! Bytes that somebody else may have written: those of the corpus with damage, and plain noise. The same seed, decoder and number
//! give the same input, whatever ran before.

/// Where lengths and counts stand, these find the decoder that believes them.
const NUMBERS_32: [u32; 10] = [0, 1, 2, 4, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, u32::MAX];
/// Times, and lengths that a decoder takes for `i64`.
const NUMBERS_64: [u64; 7] =
    [0, 1, 0x7fff_ffff_ffff_ffff, 0x8000_0000_0000_0000, 0x8000_0000_0000_0001, u64::MAX - 1, u64::MAX];
/// Kafka's varints of 0, -1, 1, -2, 2^31-1, -2^31, and two that never end.
const VARINTS: [&[u8]; 8] = [
    &[0],
    &[1],
    &[2],
    &[3],
    &[0xfe, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x80, 0x80, 0x80, 0x80],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];
/// What text is made of: JSON, properties, UTF-8 and its faults.
const WORDS: [&[u8]; 20] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"=",
    b"\\",
    b"\n",
    b"\\u",
    b"\\ud800",
    b"null",
    b"-1",
    b"1e999",
    b"0_0",
    b"9223372036854775807",
    b"\xed\xa0\x80",
    b"\xff\xfe",
    b"../",
];

/// splitmix64.
pub(crate) struct Random(u64);

impl Random {
    /// Numbers that belong to input `number` of `decoder`.
    pub(crate) fn new(seed: u64, decoder: &str, number: u64) -> Self {
        // FNV-1a, so that decoders do not share their numbers.
        let name = decoder.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
        Self(seed ^ name ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// An input: one of `seeds` with one to four damages; now and then noise, or many times the same.
pub(crate) fn input(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if seeds.is_empty() || random.one_in(32) {
        let length = random.below(80);
        return random.bytes(length);
    }
    if random.one_in(64) {
        let length = random.below(1 << 14);
        return repeated(random, seeds, length);
    }
    let mut input = random.pick(seeds).clone();
    for _ in 0..=random.below(4) {
        damage(random, &mut input, seeds);
    }
    input
}

/// `length` bytes: a start of one of `seeds` in which lengths were exaggerated, and then the same few bytes again and again. What grows
/// with each element, or looks at all of the rest for each, shows here.
pub(crate) fn repeated(random: &mut Random, seeds: &[Vec<u8>], length: usize) -> Vec<u8> {
    let mut input = random.pick(seeds).clone();
    for _ in 0..random.below(3) {
        exaggerate(random, &mut input);
    }
    let (from, size) = (random.below(input.len() + 1), 1 + random.below(24));
    let mut chunk: Vec<u8> = input.iter().skip(from).take(size).copied().collect();
    if chunk.is_empty() || random.one_in(4) {
        let size = 1 + random.below(8);
        let zeros = random.one_in(2);
        chunk = random.bytes(size).into_iter().map(|byte| if zeros { 0 } else { byte }).collect();
    }
    let end = (from + chunk.len()).min(input.len());
    let rest = input.split_off(end);
    while input.len() + rest.len() < length {
        input.extend_from_slice(&chunk);
    }
    if random.one_in(2) {
        input.extend(rest);
    }
    input
}

fn damage(random: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.below(input.len() + 1);
    match random.below(12) {
        0 => flip(random, input),
        1 => input.truncate(at),
        2 => {
            let length = 1 + random.below(16);
            let more = random.bytes(length);
            input.extend(more);
        }
        3..=5 => exaggerate(random, input),
        6 => replace(input, at, &[*random.pick(&[0, 1, 2, 3, 0x7f, 0x80, 0xff])]),
        7 => drop(input.splice(at..at, random.pick(&WORDS).iter().copied())),
        8 => drop(input.splice(at..at, random.pick(&VARINTS).iter().copied())),
        9 => {
            let end = at + random.below(input.len() - at + 1);
            input.drain(at..end);
        }
        10 => {
            let end = at + random.below((input.len() - at + 1).min(64));
            let again = input[at..end].to_vec();
            drop(input.splice(at..at, again));
        }
        _ => {
            let other = random.pick(seeds);
            let from = random.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}

fn flip(random: &mut Random, input: &mut [u8]) {
    if !input.is_empty() {
        let (at, bit) = (random.below(input.len()), random.below(8));
        input[at] ^= 1 << bit;
    }
}

/// Writes a number of lengths, counts or times over what is there.
fn exaggerate(random: &mut Random, input: &mut [u8]) {
    let at = random.below(input.len() + 1);
    match random.below(4) {
        0 => replace(input, at, &random.pick(&NUMBERS_64).to_be_bytes()),
        1 => replace(input, at, random.pick::<&[u8]>(&VARINTS)),
        _ => replace(input, at, &random.pick(&NUMBERS_32).to_be_bytes()),
    }
}

/// Writes as much of `bytes` at `at` as there is room.
fn replace(input: &mut [u8], at: usize, bytes: &[u8]) {
    input.iter_mut().skip(at).zip(bytes).for_each(|(byte, new)| *byte = *new);
}
