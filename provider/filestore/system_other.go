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
)

func tryLock(*os.File) error {
	return errors.New("this system has no file locks that filestore knows of")
}

func checkOwner(string, fs.FileInfo) error { return nil }

func replaceFile(from, to string) error { return os.Rename(from, to) }

func syncFolder(string) error { return nil }
