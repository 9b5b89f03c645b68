// Packs folders with Go's archive/tar, or streams with its compress/gzip, for the tests.
//
//	gotar FORMAT FOLDER > tar      FORMAT: ustar, pax or gnu
//	gotar gzip LEVEL < tar > gz
package main

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func xattrs(path string) map[string]string {
	records := map[string]string{}
	list := make([]byte, 65536)
	n, err := syscall.Listxattr(path, list)
	if err != nil {
		return records
	}
	for start, i := 0, 0; i < n; i++ {
		if list[i] != 0 {
			continue
		}
		name := string(list[start:i])
		start = i + 1
		value := make([]byte, 65536)
		size, err := syscall.Getxattr(path, name, value)
		check(err)
		records["SCHILY.xattr."+name] = string(value[:size])
	}
	return records
}

func main() {
	if os.Args[1] == "gzip" {
		level, err := strconv.Atoi(os.Args[2])
		check(err)
		out, err := gzip.NewWriterLevel(os.Stdout, level)
		check(err)
		_, err = io.Copy(out, os.Stdin)
		check(err)
		check(out.Close())
		return
	}
	format := map[string]tar.Format{"ustar": tar.FormatUSTAR, "pax": tar.FormatPAX, "gnu": tar.FormatGNU}[os.Args[1]]
	root := os.Args[2]
	out := tar.NewWriter(os.Stdout)
	seen := map[uint64]string{}
	check(filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		check(err)
		name, err := filepath.Rel(root, path)
		check(err)
		if name == "." {
			return nil
		}
		info, err := entry.Info()
		check(err)
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			link, err = os.Readlink(path)
			check(err)
		}
		header, err := tar.FileInfoHeader(info, link)
		check(err)
		header.Name = name
		if info.IsDir() {
			header.Name += "/"
		}
		header.Uname, header.Gname = "", ""
		header.Format = format
		stat := info.Sys().(*syscall.Stat_t)
		if first, known := seen[stat.Ino]; known && !info.IsDir() {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		} else {
			seen[stat.Ino] = name
		}
		// Times beside the last change have no place in the older formats, and fractions neither.
		header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}
		if format == tar.FormatPAX {
			if info.Mode()&fs.ModeSymlink == 0 {
				header.PAXRecords = xattrs(path)
			}
		} else {
			header.ModTime = header.ModTime.Truncate(time.Second)
		}
		check(out.WriteHeader(header))
		if header.Typeflag == tar.TypeReg {
			file, err := os.Open(path)
			check(err)
			_, err = io.Copy(out, file)
			check(err)
			check(file.Close())
		}
		return nil
	}))
	check(out.Close())
}
