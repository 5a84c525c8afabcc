//! Everything in a file that has a name, in one flat list.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
};

/// What an element is.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    Message,
    Field(&'a FieldDescriptorProto),
    Oneof,
    Enum(&'a EnumDescriptorProto),
    EnumValue(&'a EnumDescriptorProto, &'a EnumValueDescriptorProto),
    Service,
    Method(&'a ServiceDescriptorProto, &'a MethodDescriptorProto),
}

/// A named part of a file.
pub(crate) struct Element<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) name: &'a str,
    /// `amends.v1.Message.field`.
    pub(crate) full_name: String,
    /// Field numbers and indexes that lead to it, as in `SourceCodeInfo`.
    path: Vec<i32>,
}

impl Element<'_> {
    /// `amends/v1/saga.proto:12`, lines counted from 1.
    pub(crate) fn place(&self, file: &FileDescriptorProto) -> String {
        let line = self
            .location(file)
            .map_or(0, |location| location.span[0] + 1);
        format!("{}:{line}", file.name())
    }

    /// The comment right above it.
    pub(crate) fn comment<'f>(&self, file: &'f FileDescriptorProto) -> &'f str {
        self.location(file)
            .map_or("", |location| location.leading_comments().trim())
    }

    fn location<'f>(
        &self,
        file: &'f FileDescriptorProto,
    ) -> Option<&'f prost_types::source_code_info::Location> {
        let info = file.source_code_info.as_ref()?;
        info.location
            .iter()
            .find(|location| location.path == self.path)
    }
}

/// All elements of a file. Map entries and the oneofs behind `optional` are made
/// by the compiler, so they are left out.
pub(crate) fn elements(file: &FileDescriptorProto) -> Vec<Element<'_>> {
    let mut found = Vec::new();
    let package = file.package();
    for (index, message) in (0..).zip(&file.message_type) {
        add_message(&mut found, message, package, &[4, index]);
    }
    for (index, declared) in (0..).zip(&file.enum_type) {
        add_enum(&mut found, declared, package, &[5, index]);
    }
    for (index, service) in (0..).zip(&file.service) {
        let path = vec![6, index];
        let full_name = push(
            &mut found,
            Kind::Service,
            service.name(),
            package,
            path.clone(),
        );
        for (index, method) in (0..).zip(&service.method) {
            let kind = Kind::Method(service, method);
            push(
                &mut found,
                kind,
                method.name(),
                &full_name,
                child(&path, 2, index),
            );
        }
    }
    found
}

fn add_message<'a>(
    found: &mut Vec<Element<'a>>,
    message: &'a DescriptorProto,
    parent: &str,
    path: &[i32],
) {
    if message
        .options
        .as_ref()
        .is_some_and(|options| options.map_entry())
    {
        return;
    }
    let full_name = push(found, Kind::Message, message.name(), parent, path.to_vec());
    for (index, field) in (0..).zip(&message.field) {
        push(
            found,
            Kind::Field(field),
            field.name(),
            &full_name,
            child(path, 2, index),
        );
    }
    for (index, oneof) in (0..).zip(&message.oneof_decl) {
        let is_synthetic = message
            .field
            .iter()
            .any(|field| field.proto3_optional() && field.oneof_index == Some(index));
        if !is_synthetic {
            push(
                found,
                Kind::Oneof,
                oneof.name(),
                &full_name,
                child(path, 8, index),
            );
        }
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        add_message(found, nested, &full_name, &child(path, 3, index));
    }
    for (index, nested) in (0..).zip(&message.enum_type) {
        add_enum(found, nested, &full_name, &child(path, 4, index));
    }
}

fn add_enum<'a>(
    found: &mut Vec<Element<'a>>,
    declared: &'a EnumDescriptorProto,
    parent: &str,
    path: &[i32],
) {
    let full_name = push(
        found,
        Kind::Enum(declared),
        declared.name(),
        parent,
        path.to_vec(),
    );
    for (index, value) in (0..).zip(&declared.value) {
        let kind = Kind::EnumValue(declared, value);
        push(found, kind, value.name(), &full_name, child(path, 2, index));
    }
}

fn push<'a>(
    found: &mut Vec<Element<'a>>,
    kind: Kind<'a>,
    name: &'a str,
    parent: &str,
    path: Vec<i32>,
) -> String {
    let full_name = format!("{parent}.{name}");
    found.push(Element {
        kind,
        name,
        full_name: full_name.clone(),
        path,
    });
    full_name
}

fn child(path: &[i32], field: i32, index: i32) -> Vec<i32> {
    [path, &[field, index]].concat()
}
