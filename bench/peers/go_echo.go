// Go's net: a goroutine for each connection, lines sent back.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func echo(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReaderSize(connection, 65536)
	for {
		line, err := reader.ReadSlice('\n')
		for err == bufio.ErrBufferFull { // a long line comes in parts
			if _, err = connection.Write(line); err != nil {
				return
			}
			line, err = reader.ReadSlice('\n')
		}
		if len(line) > 0 {
			if _, failure := connection.Write(line); failure != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on tcp://%s\n", listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go echo(connection)
	}
}
