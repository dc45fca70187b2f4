import sys

from heygem_client.command import main

sys.exit(main(sys.argv[1:]))
