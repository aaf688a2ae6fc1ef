//! Names: what lookups see, what is durable, and the changes between the two.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::inode::{InodeRef, Survival};

pub(super) type DirectoryRef = Rc<RefCell<DirectoryNode>>;

#[derive(Clone)]
pub(super) enum Node {
    File(InodeRef),
    Directory(DirectoryRef),
}

#[derive(Default)]
pub(super) struct DirectoryNode {
    visible: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<Change>,
}

/// One creation, removal or rename: survives a crash whole or not at all.
struct Change {
    remove: Option<String>,
    add: Option<(String, Node)>,
}

impl DirectoryNode {
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.visible.get(name)
    }

    pub fn names(&self) -> Vec<String> {
        self.visible.keys().cloned().collect()
    }

    pub fn entries(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.visible.iter()
    }

    pub fn add(&mut self, name: &str, node: Node) {
        self.change(None, Some((name.to_owned(), node)));
    }

    /// A name that was there before anybody looked.
    pub fn add_durable(&mut self, name: &str, node: Node) {
        self.durable.insert(name.to_owned(), node.clone());
        self.visible.insert(name.to_owned(), node);
    }

    /// What the file takes of the disk is free at once: a file system that is short of room makes a removal durable first.
    pub fn remove(&mut self, name: &str) {
        if let Some(Node::File(inode)) = self.visible.get(name) {
            inode.borrow_mut().give_back();
        }
        self.change(Some(name.to_owned()), None);
    }

    pub fn rename(&mut self, from: &str, to: &str) {
        if let Some(node) = self.visible.get(from).cloned() {
            self.change(Some(from.to_owned()), Some((to.to_owned(), node)));
        }
    }

    fn change(&mut self, remove: Option<String>, add: Option<(String, Node)>) {
        let change = Change { remove, add };
        change.apply(&mut self.visible);
        self.pending.push(change);
    }

    pub fn sync(&mut self) {
        self.durable.clone_from(&self.visible);
        self.pending.clear();
    }

    /// Leaves the durable names, plus what chance adds of the rest, here and below; then every file that still has a name.
    pub fn crash(&mut self, survival: &mut Survival) {
        for change in self.pending.drain(..) {
            if survival.keeps() {
                change.apply(&mut self.durable);
            }
        }
        self.visible.clone_from(&self.durable);
        for node in self.visible.values() {
            match node {
                Node::File(inode) => inode.borrow_mut().crash(survival),
                Node::Directory(directory) => directory.borrow_mut().crash(survival),
            }
        }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        if let Some(name) = &self.remove {
            names.remove(name);
        }
        if let Some((name, node)) = &self.add {
            names.insert(name.clone(), node.clone());
        }
    }
}

/// Copies a tree of names with its files, each file and directory once.
pub(super) struct Copies {
    used: Rc<Cell<u64>>,
    files: HashMap<u64, InodeRef>,
    directories: HashMap<*const RefCell<DirectoryNode>, DirectoryRef>,
}

impl Copies {
    pub fn new(used: &Rc<Cell<u64>>) -> Copies {
        Copies {
            used: Rc::clone(used),
            files: HashMap::new(),
            directories: HashMap::new(),
        }
    }

    /// The copy of a file, if a name led to it.
    pub fn known(&self, inode: &InodeRef) -> Option<&InodeRef> {
        self.files.get(&inode.borrow().id)
    }

    pub fn directory(&mut self, directory: &DirectoryRef) -> DirectoryRef {
        if let Some(copy) = self.directories.get(&Rc::as_ptr(directory)) {
            return Rc::clone(copy);
        }
        let original = directory.borrow();
        let change = |change: &Change| Change {
            remove: change.remove.clone(),
            add: change
                .add
                .as_ref()
                .map(|(name, node)| (name.clone(), self.node(node))),
        };
        let pending = original.pending.iter().map(change).collect();
        let copy = Rc::new(RefCell::new(DirectoryNode {
            visible: self.names(&original.visible),
            durable: self.names(&original.durable),
            pending,
        }));
        self.directories
            .insert(Rc::as_ptr(directory), Rc::clone(&copy));
        copy
    }

    fn names(&mut self, names: &BTreeMap<String, Node>) -> BTreeMap<String, Node> {
        let copy = |(name, node): (&String, &Node)| (name.clone(), self.node(node));
        names.iter().map(copy).collect()
    }

    fn node(&mut self, node: &Node) -> Node {
        match node {
            Node::Directory(directory) => Node::Directory(self.directory(directory)),
            Node::File(inode) => {
                let id = inode.borrow().id;
                let copy = || Rc::new(RefCell::new(inode.borrow().copy(&self.used)));
                Node::File(Rc::clone(self.files.entry(id).or_insert_with(copy)))
            }
        }
    }
}
