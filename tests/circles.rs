//! Modules of one layer import each other in one direction only: no file leads back to itself by its imports. A folder's
//! own file and the files in it are one thing, and may know each other.

#[path = "shared/files.rs"]
mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use syn::{Item, UseTree, visit::Visit};

/// What the modules of circles that are left begin with. None is added; one that is untied leaves the list.
const LEFT: [&str; 3] = [
    "config::",
    "ops::conv::",
    // An op records its gradient on a tape, and a tape holds ops.
    "tape::",
];

/// The names from the crate's root to a module or an item.
type Names = Vec<String>;

/// What the file of a module says of others.
#[derive(Default)]
struct Module {
    /// Modules inside, but for those of tests.
    inner: BTreeSet<String>,
    /// Names that imports give to what lies elsewhere.
    aliases: BTreeMap<String, Names>,
    /// What it names outside of its tests, but for re-exports.
    named: Vec<Names>,
}

#[test]
fn no_file_leads_back_to_itself() {
    let modules = modules();
    let graph: BTreeMap<&Names, BTreeSet<Names>> =
        modules.iter().map(|(path, module)| (path, imports(path, module, &modules))).collect();
    let circles: BTreeSet<String> = graph
        .keys()
        .map(|path| circle(path, &graph))
        .filter(|circle| circle.len() > 1)
        .map(|circle| circle.join(", "))
        .collect();
    let is_left = |circle: &&String| LEFT.iter().any(|start| circle.split(", ").all(|name| name.starts_with(start)));
    let new: Vec<&String> = circles.iter().filter(|circle| !is_left(circle)).collect();
    assert!(new.is_empty(), "import each other: {new:#?}");
    let untied = LEFT.iter().find(|start| !circles.iter().any(|circle| circle.starts_with(**start)));
    assert_eq!(untied, None, "has no circle any more: take it from the list");
}

#[test]
fn imports_are_found_through_reexports_and_plain_paths() {
    let text = "mod inner; pub use inner::Shown; use super::{a::{A, b}, C as D}; fn f() { b::g(); self::inner::h(); }
                #[cfg(test)] mod tests { use super::super::unseen; }";
    let module = Module::read(text, &["x".into(), "m".into()]);
    let named: Vec<String> = module.named.iter().map(|names| names.join("::")).collect();
    assert_eq!(named, ["x::a::A", "x::a::b", "x::C", "x::a::b::g", "x::m::inner::h"]);
    assert_eq!(module.aliases["Shown"].join("::"), "x::m::inner::Shown");
    let modules = BTreeMap::from([
        (vec!["x".into(), "m".into()], module),
        (vec!["x".into(), "m".into(), "inner".into()], Module::default()),
    ]);
    let shown = ["x", "m", "Shown"].map(str::to_owned);
    assert_eq!(home(&shown, &modules), Some(["x", "m", "inner"].map(str::to_owned).to_vec()));
}

/// All modules of the product by their path.
fn modules() -> BTreeMap<Names, Module> {
    let mut modules = BTreeMap::new();
    for file in files::below("src", "rs").into_iter().filter(|file| !file.ends_with("main.rs")) {
        let path = module_path(&file);
        let module = Module::read(&files::text(&file), &path);
        modules.insert(path, module);
    }
    let tests: Vec<Names> = modules.keys().filter(|path| !is_declared(path, &modules)).cloned().collect();
    modules.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
    modules
}

fn is_declared(path: &Names, modules: &BTreeMap<Names, Module>) -> bool {
    let Some((name, parent)) = path.split_last() else { return true };
    modules.get(parent).is_some_and(|parent| parent.inner.contains(name))
}

/// `src/gpu/buffer.rs` is `gpu::buffer`, `src/gpu/mod.rs` is `gpu`.
fn module_path(file: &Path) -> Names {
    let inside = file.strip_prefix("src").expect("a file of the product").with_extension("");
    let mut names: Names = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
        names.pop();
    }
    names
}

impl Module {
    fn read(text: &str, path: &[String]) -> Self {
        let file = syn::parse_file(text).expect("a source file that compiles");
        let mut module = Self::default();
        for item in &file.items {
            if let Item::Mod(inner) = item
                && !is_test(&inner.attrs)
            {
                module.inner.insert(inner.ident.to_string());
            }
        }
        for item in &file.items {
            if let Item::Use(import) = item
                && !is_test(&import.attrs)
            {
                let is_reexport = !matches!(import.vis, syn::Visibility::Inherited);
                module.import(&import.tree, Vec::new(), path, is_reexport);
            }
        }
        Reader { module: &mut module, path }.visit_file(&file);
        module
    }

    /// Notes what a `use` names; `before` are its segments so far.
    fn import(&mut self, tree: &UseTree, mut before: Names, path: &[String], is_reexport: bool) {
        let alias = match tree {
            UseTree::Path(inner) => {
                before.push(inner.ident.to_string());
                return self.import(&inner.tree, before, path, is_reexport);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, before.clone(), path, is_reexport));
            }
            UseTree::Glob(_) => None,
            UseTree::Name(name) if name.ident == "self" => before.last().cloned(),
            UseTree::Name(name) => {
                before.push(name.ident.to_string());
                before.last().cloned()
            }
            UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                Some(rename.rename.to_string())
            }
        };
        let Some(target) = self.absolute(&before, path) else { return };
        self.aliases.extend(alias.map(|alias| (alias, target.clone())));
        if !is_reexport {
            self.named.push(target);
        }
    }

    /// The path from the crate's root; nothing for other crates and for what has no path.
    fn absolute(&self, names: &[String], path: &[String]) -> Option<Names> {
        let (first, rest) = names.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([path, rest].concat()),
            "super" => {
                let ups = names.iter().take_while(|name| *name == "super").count();
                Some([&path[..path.len().checked_sub(ups)?], &names[ups..]].concat())
            }
            name if self.inner.contains(name) => Some([path, names].concat()),
            name => Some([&self.aliases.get(name)?[..], rest].concat()),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    let says_test =
        |attribute: &syn::Attribute| attribute.parse_args::<syn::Path>().is_ok_and(|arg| arg.is_ident("test"));
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && says_test(attribute))
}

/// Collects the paths in a file's code.
struct Reader<'a> {
    module: &'a mut Module,
    path: &'a [String],
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        // A single name stands for an import that is noted already.
        if names.len() > 1 {
            self.module.named.extend(self.module.absolute(&names, self.path));
        }
        syn::visit::visit_path(self, path);
    }
}

/// The modules of the same layer whose items a module names, without those that it lies in or that lie in it.
fn imports(path: &Names, module: &Module, modules: &BTreeMap<Names, Module>) -> BTreeSet<Names> {
    let homes = module.named.iter().filter_map(|names| home(names, modules));
    let is_another = |home: &Names| !home.starts_with(path) && !path.starts_with(home) && home.first() == path.first();
    homes.filter(is_another).collect()
}

/// The module where what `names` leads to is defined, re-exports followed.
fn home(names: &[String], modules: &BTreeMap<Names, Module>) -> Option<Names> {
    let depth = (0..=names.len()).rev().find(|&depth| modules.contains_key(&names[..depth]))?;
    let (module, rest) = names.split_at(depth);
    match rest.split_first() {
        Some((name, rest)) if modules[module].aliases.contains_key(name) => {
            home(&[&modules[module].aliases[name][..], rest].concat(), modules)
        }
        _ => Some(module.to_vec()),
    }
}

/// The modules that `path` leads to and that lead back to it, itself among them; sorted.
fn circle(path: &Names, graph: &BTreeMap<&Names, BTreeSet<Names>>) -> Vec<String> {
    let reached = reached(path, graph);
    let back = reached.iter().filter(|other| *other == path || self::reached(other, graph).contains(path));
    let mut circle: Vec<String> = back.map(|names| names.join("::")).collect();
    circle.sort();
    circle
}

fn reached(path: &Names, graph: &BTreeMap<&Names, BTreeSet<Names>>) -> BTreeSet<Names> {
    let mut reached = BTreeSet::from([path.clone()]);
    let mut open = vec![path.clone()];
    while let Some(next) = open.pop() {
        for import in &graph[&next] {
            if reached.insert(import.clone()) {
                open.push(import.clone());
            }
        }
    }
    reached
}
