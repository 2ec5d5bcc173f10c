//! As much DER as it takes to find a part of a CMS message.

/// One value: its octets with the header, its content.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    pub whole: &'a [u8],
    pub content: &'a [u8],
}

/// The values that stand in a row.
#[track_caller]
pub fn values(mut octets: &[u8]) -> Vec<Value<'_>> {
    let mut found = Vec::new();
    while !octets.is_empty() {
        let (header, length) = match octets[1] {
            short @ 0..=0x7f => (2, usize::from(short)),
            long => {
                let count = usize::from(long & 0x7f);
                let digits = octets[2..2 + count].iter();
                (2 + count, digits.fold(0, |length, digit| length << 8 | usize::from(*digit)))
            }
        };
        let (whole, rest) = octets.split_at(header + length);
        found.push(Value { whole, content: &whole[header..] });
        octets = rest;
    }
    found
}

/// The value at a path of positions, the outermost value being the start.
#[track_caller]
pub fn at<'a>(octets: &'a [u8], path: &[usize]) -> Value<'a> {
    let outermost = values(octets)[0];
    path.iter().fold(outermost, |value, position| values(value.content)[*position])
}
