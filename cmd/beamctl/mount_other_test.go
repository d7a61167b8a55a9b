//go:build !linux

package main

import "errors"

func mountSmallDisk(string) error { return errors.New("no tmpfs on this system") }
