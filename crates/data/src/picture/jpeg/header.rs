//! What the headers of a JPEG file say, before anything of it is decoded.

use super::{MostBytes, PictureError, markers};

/// Coefficients of a block.
pub(super) const BLOCK: usize = 64;
/// Blocks that a unit of a scan may have.
const MOST_BLOCKS: usize = 10;
/// Scans of a file: as many as tell each bit of each of four components by itself.
const MOST_SCANS: usize = 4 * BLOCK * 14;
/// libjpeg guesses at these coefficients where they are not all there.
const GUESSED: usize = 9;

/// How a component is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) name: u8,
    /// Its sampling factors.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Of the steps that its coefficients are multiples of.
    pub(super) table: usize,
}

/// Which components a scan has and what it says of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// The place of each among the components, and its tables of codes for the first coefficient and for the others.
    pub(super) components: Vec<(usize, usize, usize)>,
    /// The first and the last coefficient.
    pub(super) first: usize,
    pub(super) last: usize,
    /// The bit above those that it tells, where the upper ones are known; 0 where nothing is.
    pub(super) high: u32,
    /// The lowest bit that it tells.
    pub(super) low: u32,
}

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// The headers of the frame and of all scans.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// The marker, which says how the picture is coded.
    marker: u8,
    bits: u8,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) components: Vec<Component>,
    pub(super) scans: Vec<Scan>,
    jfif: bool,
    /// What Adobe's marker says of the colours.
    adobe: Option<u8>,
}

impl Header {
    /// Finds the headers among the markers of a whole file.
    pub(super) fn find(bytes: &[u8]) -> Result<Self, PictureError> {
        let (mut jfif, mut adobe, mut found) = (false, None, None::<Self>);
        for segment in markers::all(bytes) {
            let is_before_scans = found.as_ref().is_none_or(|header| header.scans.is_empty());
            match (segment.marker, segment.content, &mut found) {
                (0xe0, [b'J', b'F', b'I', b'F', 0, rest @ ..], _) if is_before_scans => jfif |= rest.len() >= 9,
                (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..], _) if is_before_scans => {
                    adobe = Some(*transform);
                }
                (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf, _, Some(_)) => {
                    return Err(PictureError::Jpeg { kind: "of several frames".to_owned() });
                }
                (marker @ (0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf), content, None) => {
                    found =
                        Some(Self::read(marker, content).ok_or(PictureError::Unsound("the frame header is unsound"))?);
                }
                (markers::SCAN, content, Some(header)) => {
                    let scan = header.scan(content).ok_or(PictureError::Unsound("a scan header is unsound"))?;
                    if header.scans.len() == MOST_SCANS {
                        return Err(PictureError::Unsound("there are more scans than anything to tell"));
                    }
                    header.scans.push(scan);
                }
                _ => {}
            }
        }
        found.map(|header| Self { jfif, adobe, ..header }).ok_or(PictureError::Lacks("frame header"))
    }

    fn read(marker: u8, content: &[u8]) -> Option<Self> {
        let [bits, a, b, c, d, count, components @ ..] = content else { return None };
        let components = components.chunks_exact(3).map(|component| Component {
            name: component[0],
            across: usize::from(component[1] >> 4),
            down: usize::from(component[1] & 15),
            table: usize::from(component[2]),
        });
        let components: Vec<Component> = components.take(usize::from(*count)).collect();
        let (height, width) = (u16::from_be_bytes([*a, *b]).into(), u16::from_be_bytes([*c, *d]).into());
        let sound = components.len() == usize::from(*count)
            && components.iter().all(|one| (1..=4).contains(&one.across) && (1..=4).contains(&one.down));
        let (scans, jfif, adobe) = (Vec::new(), false, None);
        sound.then_some(Self { marker, bits: *bits, width, height, components, scans, jfif, adobe })
    }

    fn scan(&self, content: &[u8]) -> Option<Scan> {
        let (count, rest) = content.split_first()?;
        let (components, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        let [first, last, bits, ..] = rest else { return None };
        let place = |name: u8| self.components.iter().position(|component| component.name == name);
        let components: Vec<_> = components
            .chunks_exact(2)
            .map(|one| Some((place(one[0])?, usize::from(one[1] >> 4), usize::from(one[1] & 15))))
            .collect::<Option<_>>()?;
        let (first, last) = if self.is_progressive() { (usize::from(*first), usize::from(*last)) } else { (0, 63) };
        let (high, low) = if self.is_progressive() { (u32::from(bits >> 4), u32::from(bits & 15)) } else { (0, 0) };
        let blocks: usize = components.iter().map(|(place, ..)| self.components[*place].blocks()).sum();
        let apart = (1..components.len()).all(|at| components[..at].iter().all(|one| one.0 != components[at].0));
        let sound = apart
            && (1..=4).contains(&components.len())
            && (components.len() == 1 || blocks <= MOST_BLOCKS)
            && components.iter().all(|(_, dc, ac)| *dc < 4 && *ac < 4)
            && first <= last
            && last < BLOCK
            && low <= 13
            && (high == 0 || high == low + 1)
            && (!self.is_progressive() || if first == 0 { last == 0 } else { components.len() == 1 });
        sound.then_some(Scan { components, first, last, high, low })
    }

    /// Whether scans make the picture more precise one by one.
    pub(super) const fn is_progressive(&self) -> bool {
        self.marker == 0xc2
    }

    /// The largest sampling factors.
    pub(super) fn most(&self) -> (usize, usize) {
        let most = |factor: fn(&Component) -> usize| self.components.iter().map(factor).max().unwrap_or(1);
        (most(|component| component.across), most(|component| component.down))
    }

    /// How many units a scan of several components has, across and down.
    pub(super) fn units(&self) -> (usize, usize) {
        let most = self.most();
        (self.width.div_ceil(8 * most.0), self.height.div_ceil(8 * most.1))
    }

    /// What the components are, as libjpeg decides it.
    pub(super) fn colours(&self) -> Option<Colours> {
        let names: Vec<u8> = self.components.iter().map(|component| component.name).collect();
        Some(match (names.len(), self.jfif, self.adobe) {
            (1, ..) => Colours::Grey,
            (3, false, Some(0)) => Colours::Rgb,
            (3, false, None) if names == *b"RGB" => Colours::Rgb,
            (3, ..) => Colours::YCbCr,
            (4, _, None | Some(0)) => Colours::Cmyk,
            (4, ..) => Colours::Ycck,
            _ => return None,
        })
    }

    /// Refuses what is not decoded, and what takes too much memory.
    pub(super) fn check(&self, limit: MostBytes) -> Result<Colours, PictureError> {
        let most = self.most();
        let divides = |one: &Component| most.0.is_multiple_of(one.across) && most.1.is_multiple_of(one.down);
        let kind = match self.marker {
            0xc0..=0xc2 if self.bits != 8 => format!("of {} bits a channel", self.bits),
            0xc9..=0xcb | 0xcd..=0xcf => "that is coded arithmetically".to_owned(),
            0xc3 | 0xc7 => "that is coded without loss".to_owned(),
            0xc5 | 0xc6 => "that is coded hierarchically".to_owned(),
            _ if self.width == 0 || self.height == 0 => "that does not say its size".to_owned(),
            _ if !self.components.iter().all(divides) => {
                "with a component whose sampling factor does not divide the largest".to_owned()
            }
            _ if !self.is_complete() => "whose scans leave some of the picture out, or tell it twice".to_owned(),
            _ => match self.colours() {
                Some(colours) => {
                    limit.check(self.width as u64, self.height as u64, self.needs(colours))?;
                    return Ok(colours);
                }
                None => format!("of {} components", self.components.len()),
            },
        };
        Err(PictureError::Jpeg { kind })
    }

    /// Whether the scans tell every bit of every component once, from the upper ones on. What is missing libjpeg makes
    /// up, but for coefficients that are 0 there, too.
    fn is_complete(&self) -> bool {
        // The lowest bit of each coefficient that is known.
        let mut known = vec![[None; BLOCK]; self.components.len()];
        for scan in &self.scans {
            for (place, ..) in &scan.components {
                for low in &mut known[*place][scan.first..=scan.last] {
                    if *low != (scan.high > 0).then_some(scan.high) {
                        return false;
                    }
                    *low = Some(scan.low);
                }
            }
        }
        known.iter().all(|known| known[0].is_some() && known[1..=GUESSED].iter().all(|low| *low == Some(0)))
    }

    /// Bytes that decoding takes.
    fn needs(&self, colours: Colours) -> u64 {
        let (units, pixels) = (self.units(), (self.width * self.height) as u64);
        let blocks = self.components.iter().map(Component::blocks).sum::<usize>();
        let values = (BLOCK * blocks * units.0 * units.1) as u64;
        let out = if colours == Colours::Grey { pixels } else { 3 * pixels };
        // A coefficient has two bytes. They become values component by component, and those become pixels.
        values + if self.is_progressive() { out.max(2 * values) } else { out }
    }
}

impl Component {
    /// Blocks of a unit of several components.
    const fn blocks(&self) -> usize {
        self.across * self.down
    }
}
