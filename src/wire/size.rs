//! Sizes of pictures, in the ways that callers and services write them.

use serde_json::Value;

use super::number::whole;

/// Pixels of a picture of which only the ratio is given.
const AREA: f64 = 1024.0 * 1024.0;
/// Sides of such a picture are multiples of this, which most models want.
const STEP: f64 = 64.0;
/// Words that leave the size to the service.
const OPEN: [&str; 4] = ["", "auto", "adaptive", "match_input_image"];
/// Sizes that have names (fal).
const NAMED: [(&str, (u64, u64)); 6] = [
    ("square_hd", (1024, 1024)),
    ("square", (512, 512)),
    ("portrait_4_3", (768, 1024)),
    ("portrait_16_9", (576, 1024)),
    ("landscape_4_3", (1024, 768)),
    ("landscape_16_9", (1024, 576)),
];

/// A size as far as it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Width and height; `None` where the service decides.
    pub(crate) pixels: Option<(u64, u64)>,
    /// Width to height, where that is all that was asked for.
    pub(crate) ratio: Option<(u64, u64)>,
}

impl Size {
    /// Reads a size: `1024x768` (also with `*`, `×` or a comma), `16:9`, `2K`, `720p`, `auto`, or a name such as
    /// `square_hd`. `None` where it is none of these.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        if OPEN.contains(&&*text) {
            return Some(Self::default());
        }
        let pair = |divides: &[char]| {
            let (a, b) = text.split_once(divides)?;
            let side = |side: &str| side.trim().parse::<u64>().ok().filter(|side| *side > 0);
            Some((side(a)?, side(b)?))
        };
        if let Some((width, height)) = pair(&[':', '/']) {
            return Some(Self { pixels: Some(of_ratio(width, height)), ratio: Some((width, height)) });
        }
        let named = || NAMED.iter().find(|(name, _)| *name == text).map(|(_, pixels)| *pixels);
        let pixels = pair(&['x', '*', '×', ',']).or_else(named).or_else(|| of_class(&text))?;
        Some(Self { pixels: Some(pixels), ratio: None })
    }

    /// Returns the pixels of a video: of a ratio, 720 on the shorter side.
    #[cfg(feature = "gateway")]
    pub(crate) fn of_video(self) -> Option<(u64, u64)> {
        let Some((width, height)) = self.ratio else { return self.pixels };
        let shorter = width.min(height);
        let side = |side: u64| (side.min(shorter.saturating_mul(16)).saturating_mul(720) / shorter).next_multiple_of(2);
        Some((side(width), side(height)))
    }

    /// As [`read`](Self::read), from a field of a body; one that is not there leaves the size open.
    pub(crate) fn of(value: Option<&Value>) -> Option<Self> {
        match value {
            None | Some(Value::Null) => Some(Self::default()),
            Some(Value::String(text)) => Self::read(text),
            Some(Value::Object(sides)) => {
                let side = |name: &str| whole(sides.get(name)?).filter(|side| *side > 0);
                Some(Self { pixels: Some((side("width")?, side("height")?)), ratio: None })
            }
            Some(_) => None,
        }
    }
}

/// Returns width and height of a ratio, of about a megapixel.
fn of_ratio(width: u64, height: u64) -> (u64, u64) {
    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    let ratio = (width as f64 / height as f64).clamp(1.0 / 16.0, 16.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most four times 1024")]
    let side = |side: f64| ((side / STEP).round().max(1.0) * STEP) as u64;
    (side((AREA * ratio).sqrt()), side((AREA / ratio).sqrt()))
}

/// Reads a class of sizes: `2K` is a square of that many times 1024 pixels, `720p` a wide picture of that height.
fn of_class(text: &str) -> Option<(u64, u64)> {
    if let Some(lines) = text.strip_suffix('p') {
        let height = lines.parse::<u64>().ok().filter(|height| (1..=10_000).contains(height))?;
        return Some((height.saturating_mul(16).div_ceil(9).next_multiple_of(2), height));
    }
    let thousands = text.strip_suffix('k')?.parse::<f64>().ok().filter(|k| (0.25..=16.0).contains(k))?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in that range")]
    let side = (thousands * 1024.0) as u64;
    Some((side, side))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_spelling_of_a_size_is_read() {
        for (text, pixels) in [
            ("1024x768", Some((1024, 768))),
            ("1024*768", Some((1024, 768))),
            ("1024X768", Some((1024, 768))),
            (" 1024 × 768 ", Some((1024, 768))),
            ("2K", Some((2048, 2048))),
            ("4k", Some((4096, 4096))),
            ("0.5K", Some((512, 512))),
            ("720p", Some((1280, 720))),
            ("1080P", Some((1920, 1080))),
            ("480p", Some((854, 480))),
            ("square_hd", Some((1024, 1024))),
            ("auto", None),
            ("adaptive", None),
        ] {
            assert_eq!(Size::read(text), Some(Size { pixels, ratio: None }), "{text}");
        }
        for (text, ratio, pixels) in [
            ("16:9", (16, 9), (1344, 768)),
            ("1:1", (1, 1), (1024, 1024)),
            ("3/4", (3, 4), (896, 1152)),
            ("1000:1", (1000, 1), (4096, 256)),
        ] {
            assert_eq!(Size::read(text), Some(Size { pixels: Some(pixels), ratio: Some(ratio) }), "{text}");
        }
        for text in ["big", "0x10", "x", "10x", "-1x5", "1e3x5", "NaNk", "99999k", "0p", "p", "k", ":", "16:0", "1x1x1"]
        {
            assert_eq!(Size::read(text), None, "{text}");
        }
        assert_eq!(Size::of(Some(&json!({"width": 64.0, "height": 32}))).and_then(|size| size.pixels), Some((64, 32)));
        assert_eq!((Size::of(Some(&Value::Null)), Size::of(Some(&json!(7)))), (Some(Size::default()), None));
    }

    #[cfg(feature = "gateway")]
    #[test]
    fn a_video_of_a_ratio_has_720_lines() {
        let video = |text: &str| Size::read(text).and_then(Size::of_video);
        assert_eq!(
            (video("16:9"), video("9:16"), video("720p")),
            (Some((1280, 720)), Some((720, 1280)), Some((1280, 720)))
        );
        assert_eq!(video(&format!("1:{}", u64::MAX)), Some((720, 11_520)));
    }
}
