// Package lease is what the processes that share a login agree on: the [Record] that they all see
// in the store, and what each of them does when it sees it.
//
// There is no lock, no clock, no store and no goroutine in it. Package shared gets records and the
// time from elsewhere, asks [Decide] what to do, and does it.
//
// The clock model: every time is one that the same process has taken, and only differences between
// them count. No process ever compares its clock with another's, and no record holds the time of a
// process.
package lease
