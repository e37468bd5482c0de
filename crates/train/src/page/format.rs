//! Numbers as people read them.

/// Shown where a number is missing or not finite.
pub const MISSING: &str = "–";

/// `1234567` → `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count in at most four characters, for narrow cells: `1234` → `1.2k`.
pub fn short_count(value: u64) -> String {
    match value {
        0..1_000 => value.to_string(),
        1_000..9_950 => format!("{:.1}k", value as f64 / 1e3),
        9_950..999_500 => format!("{:.0}k", value as f64 / 1e3),
        _ => format!("{:.0}M", value as f64 / 1e6),
    }
}

/// Seconds as `48.0 s`, `4 min 12 s` or `3 h 05 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return MISSING.into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `0.9654` → `96.5%`, and near the top `0.9987` → `99.87%`. An imperfect share is never rounded up to 100%.
pub fn percent(share: f64) -> String {
    match share {
        _ if !share.is_finite() => MISSING.into(),
        _ if (0.99..1.0).contains(&share) => format!("{:.2}%", (share * 100.0).min(99.99)),
        _ => format!("{:.1}%", share * 100.0),
    }
}

/// Four significant digits, in powers of ten where plain digits would be long.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return MISSING.into();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = match size {
        1000.0.. => 0,
        100.0.. => 1,
        10.0.. => 2,
        0.1.. | 0.0 => 3,
        _ => 5,
    };
    signed(format!("{value:.decimals$}"))
}

/// A value on an axis whose ticks are `step` apart, with as many decimals as tell ticks apart.
pub fn tick(value: f64, step: f64) -> String {
    let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
    if value == 0.0 {
        return "0".into();
    }
    if step < 1e-3 || value.abs() >= 1e6 {
        let text = format!("{value:.1e}");
        return signed(text.replace(".0e", "e"));
    }
    let decimals = (-(step * 1.0001).log10().floor()).max(0.0) as usize;
    if decimals == 0 && value >= 0.0 {
        return count(value.round() as u64);
    }
    signed(format!("{value:.decimals$}"))
}

/// Whether a metric is a share of one, which people read as a percentage.
pub fn is_share(metric: &str) -> bool {
    matches!(
        last(metric),
        "accuracy" | "wer" | "cer" | "wer_unaided" | "cer_unaided" | "map" | "precision" | "recall"
    ) || last(metric).ends_with("f1")
        || last(metric).starts_with("recall@")
}

/// A metric's value as its name asks for.
pub fn metric(name: &str, value: f64) -> String {
    match value.abs() {
        _ if is_share(name) => percent(value),
        // A value and its interval have the same decimals.
        0.001..10.0 => signed(format!("{value:.3}")),
        _ => number(value),
    }
}

/// The metric without the split and output before it: `validation.answer.accuracy` → `accuracy`.
pub fn last(metric: &str) -> &str {
    metric.rsplit('.').next().unwrap_or(metric)
}

/// A metric or control in words: `macro_f1` → `macro F1`, `without:image` → `without image`.
pub fn words(name: &str) -> String {
    let spaced = name.replace(['_', ':'], " ");
    match spaced.as_str() {
        "wer" | "cer" | "auroc" | "mrr" | "ndcg" | "mae" | "rmse" => spaced.to_uppercase(),
        "wer unaided" => "WER unaided".into(),
        "cer unaided" => "CER unaided".into(),
        "map" => "mAP".into(),
        "cider" => "CIDEr".into(),
        "bleu4" => "BLEU-4".into(),
        "rouge l" => "ROUGE-L".into(),
        "meteor exact" => "METEOR, exact".into(),
        "r2" => "R²".into(),
        "micro ap" => "micro AP".into(),
        _ => spaced.replace(" f1", " F1"),
    }
}

/// At most `limit` characters, with an ellipsis where something was cut.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.into();
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Sets the minus sign that lines up with digits.
fn signed(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let check = |found: String, expected: &str| assert_eq!(found, expected);
        check(count(0), "0");
        check(count(999), "999");
        check(count(1_234_567), "1,234,567");
        check(short_count(999), "999");
        check(short_count(1234), "1.2k");
        check(short_count(9_999), "10k");
        check(duration(48.04), "48.0 s");
        check(duration(252.0), "4 min 12 s");
        check(duration(11_100.0), "3 h 05 min");
        check(duration(f64::NAN), MISSING);
        check(percent(0.9654), "96.5%");
        check(percent(0.9987), "99.87%");
        check(percent(0.99999), "99.99%");
        check(percent(1.0), "100.0%");
        check(percent(f64::INFINITY), MISSING);
        check(number(0.0), "0.000");
        check(number(-0.5), "−0.500");
        check(number(1234.4), "1234");
        check(number(2e-7), "2.00e-7");
        check(metric("answer.macro_f1", 0.5), "50.0%");
        check(metric("perplexity", 12.345), "12.35");
        check(metric("cider", 0.08158), "0.082");
        check(metric("pearson", -0.5), "−0.500");
        check(metric("mrr", f64::NAN), MISSING);
        check(words("macro_f1"), "macro F1");
        check(words("micro_ap"), "micro AP");
        check(words("rouge_l"), "ROUGE-L");
        check(words("without:image"), "without image");
        check(shorten("rectangle", 5), "rect…");
        check(shorten("größe", 5), "größe");
    }

    #[test]
    fn ticks_have_the_decimals_they_need() {
        let check = |value, step, expected: &str| assert_eq!(tick(value, step), expected);
        check(0.30000000000000004, 0.1, "0.3");
        check(-0.25, 0.05, "−0.25");
        check(12_000.0, 2_000.0, "12,000");
        check(2.5e-4, 5e-5, "2.5e-4");
        check(1e-4, 1e-4, "1e-4");
        check(1e-20, 0.5, "0");
    }
}
