//! Sizes that a reader can take in: functions of few lines and parameters, files and shaders that are read at a sitting.

#[path = "shared/files.rs"]
mod files;

use std::{collections::BTreeSet, path::Path};

use syn::{ImplItemFn, ItemFn, ItemImpl, TraitItemFn, spanned::Spanned, visit::Visit};

const FUNCTION_LINES: usize = 40;
/// With `self`, as clippy counts. An implementation of a trait has the trait's.
const PARAMETERS: usize = 5;
const FILE_LINES: usize = 400;
const SHADER_LINES: usize = 250;
const CODE_FOLDERS: [&str; 4] = ["src", "kernels-tests", "tests", "benches"];

/// What is larger still, by file and function. The list only shrinks: nothing is added, and what fits leaves it.
const TOO_LARGE: &[&str] = &[
    "src/config/tests.rs every_key_reaches_its_field",
    "src/config/train_config.rs unresolved",
    "src/diffusion/schedule.rs target",
    "src/models/blip_text.rs forward",
    "src/ops/attention/chunked.rs multiply",
    "src/ops/attention/chunked.rs scores",
    "src/ops/attention/mod.rs attention",
    "src/ops/cached_attention.rs cached_attention",
    "src/ops/conv/tile.rs kernel",
    "src/ops/group_norm.rs group_norm",
    "src/ops/group_norm.rs launch_band",
    "src/ops/group_norm.rs launch_combine",
    "src/ops/lora_linear.rs lora_linear",
    "src/ops/quads.rs launch_quads",
    "src/ops/rows.rs launch",
    "src/tape/op.rs launch",
    "src/check/training/run.rs step",
    "src/train/records/output.rs metadata",
    "src/train/tasks/diffusion/previews.rs plan",
];

/// A file or function that is too large: its place, and what it has.
type Finding = (String, String);

#[test]
fn functions_files_and_shaders_can_be_taken_in() {
    let shaders = files::below("shaders", "wgsl").into_iter();
    let mut found: Vec<Finding> = shaders.filter_map(|path| long_file(&path, SHADER_LINES)).collect();
    for path in CODE_FOLDERS.into_iter().flat_map(|folder| files::below(folder, "rs")) {
        found.extend(long_file(&path, FILE_LINES));
        found.extend(large_functions(&path, &files::text(&path)));
    }
    let is_known = |name: &str| TOO_LARGE.contains(&name);
    let new: Vec<String> =
        found.iter().filter(|(name, _)| !is_known(name)).map(|(name, what)| format!("{name}: {what}")).collect();
    assert!(new.is_empty(), "too large:\n{}", new.join("\n"));
    let found: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let fitting: Vec<&&str> = TOO_LARGE.iter().filter(|name| !found.contains(**name)).collect();
    assert!(fitting.is_empty(), "fits now, take it from the list: {fitting:#?}");
}

#[test]
fn every_kind_of_function_is_measured() {
    let long = "\n".repeat(FUNCTION_LINES);
    let text = format!(
        "fn a() {{{long}}} fn short(a: A, b: B, c: C, d: D, e: E) {{}} impl A {{ fn b(&self, a: A, b: B, c: C, d: D, e: E) {{}} }}
         trait T {{ fn c() {{{long}}} fn d(a: A, b: B, c: C, d: D, e: E, f: F); }}
         impl T for A {{ fn d(a: A, b: B, c: C, d: D, e: E, f: F) {{}} }}
         mod inner {{ fn e() {{{long}}} }}"
    );
    let found: Vec<String> =
        large_functions(Path::new("x.rs"), &text).into_iter().map(|(name, what)| format!("{name}: {what}")).collect();
    let expected =
        ["x.rs a: 41 lines", "x.rs b: 6 parameters", "x.rs c: 41 lines", "x.rs d: 6 parameters", "x.rs e: 41 lines"];
    assert_eq!(found, expected);
}

fn long_file(path: &Path, most: usize) -> Option<Finding> {
    let lines = files::text(path).lines().count();
    (lines > most).then(|| (path.display().to_string(), format!("{lines} lines")))
}

fn large_functions(path: &Path, text: &str) -> Vec<Finding> {
    let mut functions = Functions { path, found: Vec::new() };
    functions.visit_file(&syn::parse_file(text).expect("a source file that compiles"));
    functions.found
}

/// Collects functions that are too large.
struct Functions<'a> {
    path: &'a Path,
    found: Vec<Finding>,
}

impl Functions<'_> {
    fn lines(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let lines = body.span().end().line - signature.span().start().line + 1;
        if lines > FUNCTION_LINES {
            self.note(signature, format!("{lines} lines"));
        }
    }

    fn parameters(&mut self, signature: &syn::Signature) {
        let count = signature.inputs.len();
        if count > PARAMETERS {
            self.note(signature, format!("{count} parameters"));
        }
    }

    fn note(&mut self, signature: &syn::Signature, what: String) {
        self.found.push((format!("{} {}", self.path.display(), signature.ident), what));
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.lines(&item.sig, &item.block);
        self.parameters(&item.sig);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let is_of_a_trait = item.trait_.is_some();
        let signatures = item.items.iter().filter_map(|item| match item {
            syn::ImplItem::Fn(function) if !is_of_a_trait => Some(&function.sig),
            _ => None,
        });
        signatures.for_each(|signature| self.parameters(signature));
        syn::visit::visit_item_impl(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.lines(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(body) = &item.default {
            self.lines(&item.sig, body);
        }
        self.parameters(&item.sig);
        syn::visit::visit_trait_item_fn(self, item);
    }
}
