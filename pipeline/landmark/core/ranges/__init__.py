"""Read byte ranges of local files, of files on HTTP servers, and of objects in cloud stores."""
