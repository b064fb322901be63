//! Values as Python spells them.

pub fn python_bool(value: bool) -> String {
    if value { "True" } else { "False" }.to_owned()
}

/// Python's `str(float)`: the shortest digits, in scientific notation below 1e-4 and from 1e16 on.
pub fn python_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').expect("the e of the format");
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        format!("{digits}e{sign}{exponent:0>2}")
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_spelled_as_python_spells_them() {
        let cases = [
            (8.0, "8.0"),
            (0.5, "0.5"),
            (0.0, "0.0"),
            (2e-4, "0.0002"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (-2.5e-10, "-2.5e-10"),
            (1e16, "1e+16"),
            (1732271407.25, "1732271407.25"),
        ];
        for (value, text) in cases {
            assert_eq!(python_float(value), text);
        }
    }
}
