//! What a file says about the kind of its adapters, in the words of sd-scripts and LyCORIS.

use serde_json::{Map, json};

use super::python::python_bool;

/// Kind of the adapters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    #[default]
    Lora,
    Dora {
        by_output: bool,
    },
    Loha,
    Lokr {
        factor: i32,
    },
}

/// Kind of the adapters and what was set for them besides rank and alpha.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkMetadata {
    pub algorithm: Algorithm,
    /// Rank and alpha of 3×3 convolutions.
    pub conv: Option<(usize, f64)>,
    pub rs_lora: bool,
    pub network_dropout: f64,
    pub rank_dropout: f64,
    pub module_dropout: f64,
    /// 0: off.
    pub scale_weight_norms: f64,
    pub max_token_length: usize,
}

impl NetworkMetadata {
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let optional = |value: f64| if value > 0.0 { value.to_string() } else { "None".to_owned() };
        let module = if self.algorithm == Algorithm::Lora { "networks.lora" } else { "lycoris.kohya" };
        vec![
            ("ss_network_module", module.to_owned()),
            ("ss_network_args", self.arguments().to_string()),
            ("ss_network_dropout", optional(self.network_dropout)),
            ("ss_scale_weight_norms", optional(self.scale_weight_norms)),
            (
                "ss_max_token_length",
                if self.max_token_length > 75 { self.max_token_length.to_string() } else { "None".to_owned() },
            ),
        ]
    }

    /// All values as texts.
    fn arguments(&self) -> serde_json::Value {
        let mut arguments = Map::new();
        let mut argument = |name: &str, value: String| arguments.insert(name.to_owned(), json!(value));
        match self.algorithm {
            Algorithm::Lora => {}
            Algorithm::Dora { by_output } => {
                argument("algo", "lora".to_owned());
                argument("dora_wd", python_bool(true));
                argument("wd_on_output", python_bool(by_output));
            }
            Algorithm::Loha => drop(argument("algo", "loha".to_owned())),
            Algorithm::Lokr { factor } => {
                argument("algo", "lokr".to_owned());
                argument("factor", factor.to_string());
            }
        }
        if let Some((rank, alpha)) = self.conv {
            argument("conv_dim", rank.to_string());
            argument("conv_alpha", alpha.to_string());
        }
        if self.rs_lora {
            argument("rs_lora", python_bool(true));
        }
        for (name, share) in [("rank_dropout", self.rank_dropout), ("module_dropout", self.module_dropout)] {
            if share > 0.0 {
                argument(name, share.to_string());
            }
        }
        arguments.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_texts_as_sd_scripts_writes_them() {
        let plain = NetworkMetadata::default();
        assert_eq!(plain.arguments().to_string(), "{}");
        assert_eq!(plain.entries()[0].1, "networks.lora");
        let lokr = NetworkMetadata { algorithm: Algorithm::Lokr { factor: -1 }, conv: Some((4, 1.0)), ..plain };
        assert_eq!(lokr.arguments().to_string(), r#"{"algo":"lokr","factor":"-1","conv_dim":"4","conv_alpha":"1"}"#);
        assert_eq!(lokr.entries()[0].1, "lycoris.kohya");
    }
}
