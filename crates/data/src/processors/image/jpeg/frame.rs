//! The frame header: what components a picture has, and how they lie in blocks (ITU-T T.81, A.1 and A.2).

use super::Fault;
use crate::processors::image::part::Region;

/// Samples of a block's side.
pub const BLOCK: usize = 8;

/// How the coefficients come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// All of a block at once.
    Sequential,
    /// In several scans, each of some frequencies or bits.
    Progressive,
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub process: Process,
    /// Of the picture in pixels.
    pub height: usize,
    pub width: usize,
    pub components: Vec<Component>,
}

/// One colour's plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    pub identifier: u8,
    /// Blocks of one minimum coded unit.
    pub horizontal: usize,
    pub vertical: usize,
    /// The number of its quantisation table.
    pub quantization: usize,
}

impl Frame {
    /// Reads the parameters behind a start-of-frame marker; nothing for what is not read here: other precisions than
    /// eight bits, a height that follows later, two components or more than four, or sampling in uneven ratios.
    pub fn read(process: Process, parameters: &[u8]) -> Result<Option<Self>, Fault> {
        let Some((&[precision, high, low, wide, narrow, count], rest)) = parameters.split_first_chunk() else {
            return Err(Fault("a frame header that is too short"));
        };
        let (components, _) = rest.as_chunks::<3>();
        if components.len() != usize::from(count) || rest.len() % 3 != 0 {
            return Err(Fault("a frame header of a wrong length"));
        }
        let frame = Self {
            process,
            height: u16::from_be_bytes([high, low]).into(),
            width: u16::from_be_bytes([wide, narrow]).into(),
            components: components.iter().map(Component::read).collect::<Result<_, _>>()?,
        };
        if frame.width == 0 || count == 0 {
            return Err(Fault("a frame without pixels"));
        }
        let common = precision == 8 && frame.height > 0 && matches!(count, 1 | 3 | 4);
        Ok((common && frame.has_even_ratios()).then_some(frame))
    }

    fn has_even_ratios(&self) -> bool {
        let (down, across) = self.most();
        let even = |it: &Component| down.is_multiple_of(it.vertical) && across.is_multiple_of(it.horizontal);
        self.components.iter().all(even)
    }

    /// The most blocks of a unit that a component has: down and across.
    pub fn most(&self) -> (usize, usize) {
        let down = self.components.iter().map(|it| it.vertical).max();
        let across = self.components.iter().map(|it| it.horizontal).max();
        (down.unwrap_or(1), across.unwrap_or(1))
    }

    /// Minimum coded units of the picture when its components alternate: down and across.
    pub fn units(&self) -> (usize, usize) {
        let (down, across) = self.most();
        (self.height.div_ceil(BLOCK * down), self.width.div_ceil(BLOCK * across))
    }

    /// Blocks of a component without those that only fill up units: down and across.
    pub fn blocks(&self, component: &Component) -> (usize, usize) {
        let (height, width) = self.samples(component, BLOCK);
        (height.div_ceil(BLOCK), width.div_ceil(BLOCK))
    }

    /// A component's own height and width when its blocks give `side` × `side` samples.
    pub fn samples(&self, component: &Component, side: usize) -> (usize, usize) {
        let (down, across) = self.most();
        let length = |pixels: usize, factor: usize, most: usize| (pixels * factor * side).div_ceil(most * BLOCK);
        (
            length(self.height, component.vertical, down),
            length(self.width, component.horizontal, across),
        )
    }

    /// The picture's height and width when it is `scale` times smaller.
    pub fn scaled(&self, scale: usize) -> (usize, usize) {
        (self.height.div_ceil(scale), self.width.div_ceil(scale))
    }

    /// Samples that a block's side gives when the picture is `scale` times smaller: as many as are needed, so that
    /// a component of fewer samples is not made smaller only to be enlarged again.
    pub fn side(&self, component: &Component, scale: usize) -> usize {
        let (down, across) = self.most();
        let least = BLOCK / scale;
        let fits = |side: usize| {
            (down * least).is_multiple_of(component.vertical * side)
                && (across * least).is_multiple_of(component.horizontal * side)
        };
        let mut side = least;
        while side < BLOCK && fits(2 * side) {
            side *= 2;
        }
        side
    }

    /// The blocks of a component that a part of the picture, `scale` times smaller, is made from: with a margin for
    /// the neighbours that enlarging looks at, and down in whole units.
    pub fn window(&self, component: &Component, scale: usize, part: Region) -> Region {
        let (down, across) = self.most();
        let (blocks_down, blocks_across) = self.blocks(component);
        if self.process == Process::Progressive {
            // Later scans refine what stands in any block.
            let units = self.units().0;
            return Region {
                top: 0,
                left: 0,
                height: units * component.vertical,
                width: blocks_across,
            };
        }
        let unit = BLOCK / scale * down;
        let top = (part.top.saturating_sub(down)) / unit * component.vertical;
        let bottom = ((part.top + part.height + down).div_ceil(unit) * component.vertical)
            .min(blocks_down.next_multiple_of(component.vertical));
        let unit = BLOCK / scale * across;
        let left = part.left.saturating_sub(across) * component.horizontal / unit;
        let right = ((part.left + part.width + across) * component.horizontal)
            .div_ceil(unit)
            .min(blocks_across);
        Region {
            top,
            left,
            height: bottom - top,
            width: right - left,
        }
    }
}

impl Component {
    fn read(&[identifier, factors, quantization]: &[u8; 3]) -> Result<Self, Fault> {
        let (horizontal, vertical) = (usize::from(factors >> 4), usize::from(factors & 15));
        if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || quantization > 3 {
            return Err(Fault("a component with a sampling factor or table that does not exist"));
        }
        Ok(Self {
            identifier,
            horizontal,
            vertical,
            quantization: quantization.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of components with these factors, each two hexadecimal digits.
    fn frame(height: usize, width: usize, factors: &[u8]) -> Frame {
        let mut parameters = vec![8];
        parameters.extend((height as u16).to_be_bytes());
        parameters.extend((width as u16).to_be_bytes());
        parameters.push(factors.len() as u8);
        for (index, &factors) in factors.iter().enumerate() {
            parameters.extend([index as u8, factors, 0]);
        }
        Frame::read(Process::Sequential, &parameters).unwrap().unwrap()
    }

    fn check(factors: &[u8], units: (usize, usize), blocks: &[(usize, usize)], half_sides: &[usize]) {
        let frame = frame(17, 35, factors);
        assert_eq!(frame.units(), units, "{factors:x?}");
        for (index, component) in frame.components.iter().enumerate() {
            assert_eq!(frame.blocks(component), blocks[index], "{factors:x?}");
            assert_eq!(frame.side(component, 1), 8, "{factors:x?}");
            assert_eq!(frame.side(component, 2), half_sides[index], "{factors:x?}");
        }
    }

    #[test]
    fn components_lie_in_blocks_as_their_factors_say() {
        check(&[0x11], (3, 5), &[(3, 5)], &[4]);
        check(&[0x22, 0x11, 0x11], (2, 3), &[(3, 5), (2, 3), (2, 3)], &[4, 8, 8]);
        check(&[0x21, 0x11, 0x11], (3, 3), &[(3, 5), (3, 3), (3, 3)], &[4, 4, 4]);
        check(&[0x12, 0x11, 0x12], (2, 5), &[(3, 5), (2, 5), (3, 5)], &[4, 4, 4]);
        check(
            &[0x44, 0x11, 0x22, 0x44],
            (1, 2),
            &[(3, 5), (1, 2), (2, 3), (3, 5)],
            &[4, 8, 8, 4],
        );
    }

    #[test]
    fn a_window_covers_its_part_and_a_margin() {
        let frame = frame(480, 640, &[0x22, 0x11, 0x11]);
        let check = |component: usize, scale, part: [usize; 4], expected: [usize; 4]| {
            let region = |[top, left, height, width]: [usize; 4]| Region {
                top,
                left,
                height,
                width,
            };
            let found = frame.window(&frame.components[component], scale, region(part));
            assert_eq!(
                found,
                region(expected),
                "component {component}, scale {scale}, {part:?}"
            );
        };
        check(0, 1, [0, 0, 480, 640], [0, 0, 60, 80]);
        check(1, 1, [0, 0, 480, 640], [0, 0, 30, 40]);
        check(0, 1, [0, 80, 480, 480], [0, 9, 60, 62]);
        check(1, 1, [0, 80, 480, 480], [0, 4, 30, 32]);
        check(0, 1, [100, 100, 1, 1], [12, 12, 2, 1]);
        check(1, 2, [0, 0, 240, 320], [0, 0, 30, 40]);
        check(0, 2, [40, 40, 8, 8], [8, 9, 6, 4]);
    }

    #[test]
    fn kinds_that_are_not_read_here_are_told_from_faults() {
        let read = |parameters: &[u8]| Frame::read(Process::Sequential, parameters).map(|frame| frame.is_some());
        assert!(read(&[8, 0, 1, 0, 1, 1, 1, 0x11, 0]).unwrap());
        assert!(!read(&[12, 0, 1, 0, 1, 1, 1, 0x11, 0]).unwrap());
        assert!(!read(&[8, 0, 0, 0, 1, 1, 1, 0x11, 0]).unwrap());
        assert!(!read(&[8, 0, 1, 0, 1, 2, 1, 0x11, 0, 2, 0x11, 0]).unwrap());
        assert!(!read(&[8, 0, 1, 0, 1, 3, 1, 0x31, 0, 2, 0x21, 0, 3, 0x11, 0]).unwrap());
        assert!(read(&[8, 0, 1, 0, 0, 1, 1, 0x11, 0]).is_err());
        assert!(read(&[8, 0, 1, 0, 1, 1, 1, 0x51, 0]).is_err());
        assert!(read(&[8, 0, 1, 0, 1, 2, 1, 0x11, 0]).is_err());
        assert!(read(&[8]).is_err());
    }
}
