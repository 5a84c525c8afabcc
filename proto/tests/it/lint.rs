//! The rules, applied to the files.

mod planted;

use std::collections::BTreeMap;

use prost_types::FileDescriptorProto;

use crate::elements::{Element, Kind, elements};

#[test]
fn the_files_are_clean() {
    let files = crate::files();
    assert!(files.len() >= 5, "only {} files found", files.len());
    let breaches = lint(&files);
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

fn lint(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut breaches = Vec::new();
    for file in files {
        breaches.extend(
            lint_file(file, files)
                .into_iter()
                .map(|text| format!("{}: {text}", file.name())),
        );
        for element in elements(file) {
            let place = element.place(file);
            breaches.extend(lint_name(&element).map(|text| format!("{place}: {text}")));
            if element.comment(file).is_empty() && !matches!(element.kind, Kind::Oneof) {
                breaches.push(format!(
                    "{place}: {} has no comment above it",
                    element.full_name
                ));
            }
        }
    }
    breaches.extend(shared_messages(files));
    breaches
}

fn lint_file(file: &FileDescriptorProto, files: &[FileDescriptorProto]) -> Vec<String> {
    let mut breaches = Vec::new();
    let (folder, name) = file.name().rsplit_once('/').unwrap_or(("", file.name()));
    if file.package() != folder.replace('/', ".") {
        breaches.push(format!(
            "package {} is not that of its folder",
            file.package()
        ));
    }
    if !is_version(file.package().rsplit('.').next().unwrap_or_default()) {
        breaches.push(format!(
            "package {} ends in no version like v1",
            file.package()
        ));
    }
    if !is_lower_snake(name.trim_end_matches(".proto")) {
        breaches.push("the file's name is not lower_snake_case".to_owned());
    }
    if file.syntax() != "proto3" {
        breaches.push("says no syntax = \"proto3\"".to_owned());
    }
    if !file.public_dependency.is_empty() || !file.weak_dependency.is_empty() {
        breaches.push("has a public or weak import".to_owned());
    }
    let used = used_types(file);
    for import in &file.dependency {
        if !used.iter().any(|name| declares(files, import, name)) {
            breaches.push(format!("import {import} is not used"));
        }
    }
    breaches
}

fn lint_name(element: &Element<'_>) -> Option<String> {
    let name = element.name;
    let fault = match element.kind {
        Kind::Message if !is_pascal(name) => "is not PascalCase".to_owned(),
        Kind::Field(_) | Kind::Oneof if !is_lower_snake(name) => {
            "is not lower_snake_case".to_owned()
        }
        Kind::Enum(_) if !is_pascal(name) => "is not PascalCase".to_owned(),
        Kind::Enum(declared)
            if declared
                .value
                .first()
                .is_none_or(|value| value.number() != 0) =>
        {
            "does not begin with its zero value".to_owned()
        }
        Kind::Enum(declared)
            if declared
                .options
                .as_ref()
                .is_some_and(|options| options.allow_alias()) =>
        {
            "allows aliases".to_owned()
        }
        Kind::EnumValue(declared, value) => {
            let prefix = upper_snake(declared.name()) + "_";
            if !name.starts_with(&prefix) || name != name.to_uppercase() {
                format!("does not begin with {prefix}")
            } else if (value.number() == 0) != (name == format!("{prefix}UNSPECIFIED")) {
                format!("is not the zero value {prefix}UNSPECIFIED, or only called so")
            } else {
                return None;
            }
        }
        Kind::Service if !is_pascal(name) || !name.ends_with("Service") => {
            "is not PascalCase ending in Service".to_owned()
        }
        Kind::Method(service, method) => {
            if !is_pascal(name) {
                "is not PascalCase".to_owned()
            } else if !is_named_after(method.input_type(), service.name(), name, "Request") {
                format!("does not take {name}Request")
            } else if !is_named_after(method.output_type(), service.name(), name, "Response") {
                format!("does not return {name}Response")
            } else {
                return None;
            }
        }
        _ => return None,
    };
    Some(format!("{} {fault}", element.full_name))
}

/// Requests and responses that more than one method uses, or a method twice.
fn shared_messages(files: &[FileDescriptorProto]) -> Vec<String> {
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for method in files
        .iter()
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method)
    {
        users
            .entry(method.input_type())
            .or_default()
            .push(method.name());
        users
            .entry(method.output_type())
            .or_default()
            .push(method.name());
    }
    users
        .into_iter()
        .filter(|(_, methods)| methods.len() > 1)
        .map(|(message, methods)| format!("{message} is used by several methods: {methods:?}"))
        .collect()
}

fn used_types(file: &FileDescriptorProto) -> Vec<&str> {
    let mut messages: Vec<_> = file.message_type.iter().collect();
    let mut used = Vec::new();
    while let Some(message) = messages.pop() {
        messages.extend(&message.nested_type);
        used.extend(
            message
                .field
                .iter()
                .filter_map(|field| field.type_name.as_deref()),
        );
    }
    for method in file.service.iter().flat_map(|service| &service.method) {
        used.extend([method.input_type(), method.output_type()]);
    }
    used
}

/// Whether the type `name` is declared in `import`. Files from elsewhere are the
/// well-known ones, each named after its type.
fn declares(files: &[FileDescriptorProto], import: &str, name: &str) -> bool {
    match files.iter().find(|file| file.name() == import) {
        Some(file) => elements(file)
            .iter()
            .any(|element| format!(".{}", element.full_name) == name),
        None => {
            let stem = import
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".proto");
            let last = name.rsplit('.').next().unwrap_or_default();
            name.starts_with(".google.protobuf.") && upper_snake(last).to_lowercase() == stem
        }
    }
}

fn is_named_after(message: &str, service: &str, method: &str, ending: &str) -> bool {
    let last = message.rsplit('.').next().unwrap_or_default();
    last == format!("{method}{ending}") || last == format!("{service}{method}{ending}")
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn is_pascal(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn is_lower_snake(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !name.contains("__")
        && !name.ends_with('_')
}

fn upper_snake(pascal: &str) -> String {
    let mut snake = String::new();
    for c in pascal.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_uppercase());
    }
    snake
}
