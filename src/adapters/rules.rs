//! From what a training asks for to a plan for each site: rank, alpha, and the parameter group with its learning rate.

use crate::{
    config::{LoraTarget, NETWORK_BLOCKS},
    weights::lora::{Part, Site, SiteKind},
};

use super::{
    blocks::block_of,
    set::SitePlan,
    targets::{is_convolutional, is_target, is_text_target},
};

/// Rank and alpha of a module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub rank: usize,
    pub alpha: f32,
}

/// What is adapted in the U-Net.
#[derive(Clone, Debug, PartialEq)]
pub struct UnetRules {
    pub target: LoraTarget,
    pub size: Size,
    /// Of 3×3 convolutions, where those are adapted, with everything else in resnets and samplers.
    pub conv: Option<Size>,
    /// Sizes by block, which go before `size`; a rank of 0 leaves the block out.
    pub blocks: Option<[Size; NETWORK_BLOCKS]>,
    /// The same for 3×3 convolutions.
    pub conv_blocks: Option<[Size; NETWORK_BLOCKS]>,
    pub rate: f64,
    /// What `rate` is multiplied by in each block; 0 leaves the block out.
    pub block_rates: Option<[f64; NETWORK_BLOCKS]>,
    /// What the rate of every `up` is multiplied by (LoRA+).
    pub up_ratio: f64,
}

/// What is adapted in the text encoder.
#[derive(Clone, Debug, PartialEq)]
pub struct TextRules {
    pub size: Size,
    pub rate: f64,
    pub up_ratio: f64,
    /// Layers from the first on that the U-Net's context comes through; the others get no gradient.
    pub layers: usize,
}

/// Which networks are adapted, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    pub unet: Option<UnetRules>,
    pub text: Option<TextRules>,
}

/// A parameter group: tensors that are updated at one learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    pub part: Part,
    pub rate: f64,
}

impl Rules {
    /// Plans for those of `sites` that are adapted, in their order, and the groups that they name.
    pub fn plans(&self, sites: &[Site]) -> (Vec<SitePlan>, Vec<Group>) {
        let mut groups = Vec::new();
        let mut group = |part: Part, rate: f64| {
            let wanted = Group { part, rate };
            groups.iter().position(|known| *known == wanted).unwrap_or_else(|| {
                groups.push(wanted);
                groups.len() - 1
            })
        };
        let plan = |site: &Site| {
            let (Size { rank, alpha }, rate, up_ratio) = self.of(site)?;
            let part = site.part;
            let (own, up) = match rate {
                None => (None, None),
                Some(rate) if up_ratio == 1.0 => (Some(group(part, rate)), None),
                Some(rate) => (Some(group(part, rate)), Some(group(part, rate * up_ratio))),
            };
            Some(SitePlan { site: site.clone(), rank, alpha, group: own, up_group: up })
        };
        let plans = sites.iter().filter_map(plan).collect();
        (plans, groups)
    }

    /// Size, learning rate (none without a gradient) and LoRA+'s ratio of a site, where it is adapted.
    fn of(&self, site: &Site) -> Option<(Size, Option<f64>, f64)> {
        match site.part {
            Part::TextEncoder => self.text.as_ref()?.of(site),
            Part::Unet => self.unet.as_ref()?.of(site),
        }
    }
}

impl UnetRules {
    fn of(&self, site: &Site) -> Option<(Size, Option<f64>, f64)> {
        let convolutional = self.conv.is_some() && is_convolutional(site);
        if !convolutional && !is_target(self.target, site) {
            return None;
        }
        let block = block_of(&site.path);
        let (size, by_block) = match (site.kind, self.conv) {
            (SiteKind::Conv3x3, Some(conv)) => (conv, self.conv_blocks.as_ref()),
            _ => (self.size, self.blocks.as_ref()),
        };
        let size = by_block.map_or(size, |sizes| sizes[block]);
        let rate = self.rate * self.block_rates.map_or(1.0, |rates| rates[block]);
        (size.rank > 0 && rate > 0.0).then_some((size, Some(rate), self.up_ratio))
    }
}

impl TextRules {
    fn of(&self, site: &Site) -> Option<(Size, Option<f64>, f64)> {
        let layer = site.path.split("layers.").nth(1)?.split('.').next()?.parse::<usize>().ok()?;
        is_text_target(site).then_some((self.size, (layer < self.layers).then_some(self.rate), self.up_ratio))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(part: Part, path: &str, kind: SiteKind) -> Site {
        Site { part, path: path.to_owned(), kind, in_features: 8, out_features: 8 }
    }

    fn sites() -> Vec<Site> {
        vec![
            site(Part::TextEncoder, "text_model.encoder.layers.0.mlp.fc1", SiteKind::Linear),
            site(Part::TextEncoder, "text_model.encoder.layers.11.mlp.fc1", SiteKind::Linear),
            site(Part::Unet, "conv_in", SiteKind::Conv3x3),
            site(Part::Unet, "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", SiteKind::Linear),
            site(Part::Unet, "down_blocks.0.resnets.0.conv1", SiteKind::Conv3x3),
            site(Part::Unet, "up_blocks.1.resnets.0.conv_shortcut", SiteKind::Conv1x1),
        ]
    }

    fn unet() -> UnetRules {
        UnetRules {
            target: LoraTarget::Attention,
            size: Size { rank: 4, alpha: 2.0 },
            conv: None,
            blocks: None,
            conv_blocks: None,
            rate: 1e-4,
            block_rates: None,
            up_ratio: 1.0,
        }
    }

    #[test]
    fn convolutions_bring_their_resnets_with_them() {
        let conv = Some(Size { rank: 2, alpha: 1.0 });
        let (plans, groups) = Rules { unet: Some(UnetRules { conv, ..unet() }), text: None }.plans(&sites());
        assert_eq!(plans.iter().map(|plan| plan.rank).collect::<Vec<_>>(), [4, 2, 4]);
        assert_eq!(groups, [Group { part: Part::Unet, rate: 1e-4 }]);
        let (plans, _) = Rules { unet: Some(unet()), text: None }.plans(&sites());
        assert_eq!(plans.len(), 1);
    }

    #[test]
    fn layers_above_the_tapped_one_are_never_updated() {
        let text = TextRules { size: Size { rank: 4, alpha: 2.0 }, rate: 5e-5, up_ratio: 16.0, layers: 11 };
        let (plans, groups) = Rules { unet: None, text: Some(text) }.plans(&sites());
        assert_eq!(
            plans.iter().map(|plan| (plan.group, plan.up_group)).collect::<Vec<_>>(),
            [(Some(0), Some(1)), (None, None)]
        );
        assert_eq!(groups.iter().map(|group| group.rate).collect::<Vec<_>>(), [5e-5, 8e-4]);
    }

    #[test]
    fn blocks_have_their_own_ranks_and_rates() {
        let mut sizes = [Size { rank: 3, alpha: 1.0 }; NETWORK_BLOCKS];
        sizes[1].rank = 0;
        let mut rates = [1.0; NETWORK_BLOCKS];
        rates[16] = 0.5;
        let conv = Some(Size { rank: 2, alpha: 1.0 });
        let unet = UnetRules { conv, blocks: Some(sizes), block_rates: Some(rates), ..unet() };
        let (plans, groups) = Rules { unet: Some(unet), text: None }.plans(&sites());
        assert_eq!(plans.iter().map(|plan| (plan.rank, plan.group)).collect::<Vec<_>>(), [(2, Some(0)), (3, Some(1))]);
        assert_eq!(groups[1].rate, 5e-5);
    }
}
