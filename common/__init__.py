"""What the scripts are made of, in five wings on common ground.

    settings errors files say    ground: no subject of the study
    commands                     the line to type next, for the same study
    heavy                        packages that take long to import, when they are used
    records results comparisons  JSON artifacts as declared types; those of step 6, which two wings share
    statistics sampling          numbers: intervals, draws
    retrieval/                   images and captions to frozen embeddings, embeddings to ranks
    labels/                      what people say of failures: sheets, ratings, one label an item
    annotation/                  what annotators get: pages, pictures, folders
    fixes/                       training-free methods and their honest measurement
    report/                      tables, figures, one document

Ground, retrieval, labels, annotation, report: a file imports from its own wing and from those before it.
fixes comes next to annotation and report: neither knows the other, they meet in files on disk.

Nothing here prints (a progress bar, `--help` and the one line of an error excepted), owns a path, reads a
script's settings or imports a script. What a user can cause is raised as `errors.UserError`.
"""
