// Package porcupine holds the checker of package storetest against porcupine, which can check any
// object, takes longer, and is nothing that a program with a login should depend on. It is a module
// of its own and has only tests.
package porcupine
