// Package shared lets several processes use one login: copies of a command-line tool, or the hosts
// of a fleet.
//
//	login := &shared.Login{Provider: backend, Store: &filestore.Store{App: "mytool"}, Key: "alice"}
//
// A [Login] wraps any token provider and is one itself. It keeps the token in a [Store], so that it
// outlives the process, and lets one process at a time ask for the next one. Package filestore is a
// Store for one machine, package redisstore one for many.
package shared
