#!/bin/sh
# certificates.sh FOLDER: an authority, what it signs for a receiver and for a machine, and a stranger's authority.
set -eu
mkdir -p "$1"
cd "$1"
for name in ca stranger; do
  openssl req -x509 -newkey rsa:2048 -nodes -keyout $name.key -out $name.pem -subj "/CN=$name" -days 2
done
for name in receiver machine; do
  openssl req -newkey rsa:2048 -nodes -keyout $name.key -out $name.csr -subj "/CN=$name"
  echo "subjectAltName=DNS:localhost" > $name.ext
  openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.pem
done
