// Package validate holds manifests against the types of the programs that read
// them. It is a module of its own, since these types are heavy.
package validate
