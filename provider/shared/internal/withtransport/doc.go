// Package withtransport tests a shared login as it is used: behind a transport. It is a package of
// its own, so that programs that import package shared, and their modules, need nothing of the
// transport.
package withtransport
