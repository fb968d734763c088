//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package filestore

import (
	"errors"
	"io/fs"
	"os"
)

const (
	checkModes = false
	lockToRead = false
	openFlags  = 0
)

func tryLock(*os.File) error {
	return errors.New("this system has no file locks that filestore knows of")
}

func checkOwner(string, fs.FileInfo) error { return nil }

func ofOurGroup(fs.FileInfo) bool { return false }

func isUnwritable(error) bool { return false }

func isBusy(error) bool { return false }

func isMisplaced(error) bool { return false }

func replaceFile(from, to string) error { return os.Rename(from, to) }

func syncFolder(string) error { return nil }
